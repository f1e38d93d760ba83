"""The space-time diagram of a run: a lane per node, time to the right, one SVG file.

Law: the same trace gives the same bytes. Nothing is drawn that the trace does not
say, and what there is no room for is left out or counted, never moved in time.

    picture   draw(): the scene, laid out and painted
    scene     what is to be seen, read from the records
    scale     from time to x
    labels    where words find room
    svg       marks on paper: shapes, colours, text
    lanes     paints the nodes: roles, terms, pauses, turning points
    flights   paints the messages
    calls     paints what clients asked, and were told
    frame     paints the card: title, axis, network, legend
"""

from kvstore.sim.diagram.picture import draw

__all__ = ["draw"]
