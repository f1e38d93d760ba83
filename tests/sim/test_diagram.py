"""The space-time diagram: every element of a story is there, legible, and where it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from kvstore import api
from kvstore.raft import events
from kvstore.raft.types import Role
from kvstore.sim import trace
from kvstore.sim.diagram import draw, svg
from kvstore.sim.diagram.frame import cut_words
from kvstore.sim.diagram.scene import Kind, Turn, Verdict, scene_of

from .stories import (
    Story,
    append,
    ask_vote,
    crash_between_write_and_fsync,
    hostile,
    reject,
    stale_leader_is_fenced,
    vote,
)

NAMESPACE = "{http://www.w3.org/2000/svg}"


class Picture:
    """A diagram, read back."""

    def __init__(
        self, records: Sequence[trace.Record], nodes: Sequence[int], **more: float
    ) -> None:
        text = draw(records, nodes, title="a title", **more)  # type: ignore[arg-type]
        self.root = ElementTree.fromstring(text)

    @property
    def words(self) -> list[str]:
        return ["".join(element.itertext()) for element in self.root.iter(f"{NAMESPACE}text")]

    def of_class(self, *names: str) -> list[ElementTree.Element]:
        """Elements with all of these classes."""
        return [
            element
            for element in self.root.iter()
            if set(names) <= set(element.get("class", "").split())
        ]

    def x(self, words: str) -> float:
        """Where the first text with these words is."""
        for element in self.root.iter(f"{NAMESPACE}text"):
            if "".join(element.itertext()) == words:
                return float(element.get("x", "nan"))
        raise AssertionError(f"{words!r} is not in the picture")


@pytest.fixture(scope="module")
def fenced() -> Picture:
    return Picture(stale_leader_is_fenced(), (1, 2, 3), from_ms=480)


@pytest.fixture(scope="module")
def crash() -> Picture:
    return Picture(crash_between_write_and_fsync(), (1, 2, 3, 4, 5))


# --- The picture -------------------------------------------------------------------------------


def test_the_same_trace_gives_the_same_bytes() -> None:
    one, two = (
        draw(stale_leader_is_fenced(), (1, 2, 3), title="t", is_stretched=True) for _ in range(2)
    )
    assert one == two


def test_the_fenced_leader_stands_out(fenced: Picture) -> None:
    assert len(fenced.of_class("fenced")) == 1
    assert "stepping down: saw term 2 > my term 1" in fenced.words
    assert len(fenced.of_class("flight", "rejected")) == 3
    assert {"entries of term 1", "no: term 2", "no: log differs"} <= set(fenced.words)
    assert "rolls back 1 entry" in fenced.words
    assert len(fenced.of_class("rolled-back")) == 1


def test_leaders_candidates_and_votes_are_marked(fenced: Picture) -> None:
    assert len(fenced.of_class("led")) == 2
    assert {"leads term 1", "leads term 2", "candidate of term 2", "votes for 2"} <= set(
        fenced.words
    )
    assert len(fenced.of_class("candidate")) == 2
    assert len(fenced.of_class("flight", "vote-request")) == 4
    assert len(fenced.of_class("flight", "vote")) == 3


def test_pauses_and_lost_messages_are_marked(fenced: Picture) -> None:
    assert len(fenced.of_class("paused")) == 1
    assert "paused" in fenced.words
    assert len(fenced.of_class("flight", "lost")) == 4


def test_calls_show_what_was_asked_and_told(fenced: Picture) -> None:
    assert {"put colour = red", "put colour = stale", "put colour = blue"} <= set(fenced.words)
    assert fenced.words.count("OK") == 2
    assert "NOTLEADER" in fenced.words


def test_a_call_without_an_answer_does_not_look_answered(crash: Picture) -> None:
    """Its bar is dashed, and no stem comes up from the node."""
    (unknown,), (refused,) = crash.of_class("call", "unknown"), crash.of_class("call", "refused")
    assert unknown.get("stroke-dasharray")
    assert not refused.get("stroke-dasharray")
    assert len(crash.of_class("stem")) == 3


def test_commits_are_ticks(fenced: Picture) -> None:
    committed = [one for one in stale_leader_is_fenced() if isinstance(one, trace.Committed)]
    assert len(fenced.of_class("commit")) == len(committed) == 11


def test_only_a_stretched_picture_says_so() -> None:
    pictures = (
        Picture(stale_leader_is_fenced(), (1,), is_stretched=is_stretched)
        for is_stretched in (False, True)
    )
    notice = "Time is stretched where much happens."
    assert [notice in picture.words for picture in pictures] == [False, True]


def test_what_ends_a_reign_meets_the_leader_at_its_edge(fenced: Picture) -> None:
    """The rejection that fences ends at the edge of the thick lane, not inside of it."""
    (sign,) = fenced.of_class("fenced")
    middle = float(sign[0][0].get("cy", "nan"))
    ends = [float(one[0][0].get("y2", "nan")) for one in fenced.of_class("rejected")]
    assert min(end - middle for end in ends if end > middle and end < middle + 20) == 2.5
    assert max(end - middle for end in ends if end > middle and end < middle + 20) == 9


def test_heartbeats_are_faint_and_much_fainter_in_a_long_run() -> None:
    def opacity(beats: int) -> float:
        story = Story()
        for number in range(beats):
            story.heartbeat(100 * number, 1, 1, 0, 2)
        drawn = Picture(story.records, (1, 2)).of_class("flight", "routine")
        assert len(drawn) == 2 * beats
        return float(drawn[0][0].get("opacity", "1"))

    assert 0.3 < opacity(4) < 0.5
    assert opacity(400) < opacity(60) < opacity(4)


def test_crash_restart_and_unknown_outcome_are_marked(crash: Picture) -> None:
    assert len(crash.of_class("crashed")) == len(crash.of_class("restarted")) == 1
    assert "crashes: killed between write and fsync; loses 2 entries" in crash.words
    assert "restarts" in crash.words
    assert "no answer: outcome unknown" in crash.words
    assert "no vote" in crash.words


def test_cut_links_and_faults_of_all_are_named(crash: Picture) -> None:
    assert "cut: 1 2 3 5 | 4" in crash.words
    assert "loss of 20 % begins" in crash.words


def test_a_legend_names_the_terms(fenced: Picture, crash: Picture) -> None:
    assert {"term 1", "term 2", "leader", "rejected", "lost"} <= set(fenced.words)
    assert {"term 2", "term 3", "term 4"} <= set(crash.words)
    assert "term 1" not in crash.words


def test_a_window_shows_only_its_time_and_what_was_before() -> None:
    """Node 1 leads when the window opens: it says so without a star."""
    picture = Picture(stale_leader_is_fenced(), (1, 2, 3), from_ms=700, to_ms=1260)
    assert not picture.of_class("led")
    assert not picture.of_class("fenced")
    assert "leads term 1" in picture.words
    assert "candidate of term 2" in picture.words
    assert "votes for 1" not in picture.words
    assert "put colour = stale" in picture.words


def test_a_message_that_crosses_the_edge_of_the_window_is_cut_there() -> None:
    """Half of its time is before the window, so half of its way is."""
    story = Story()
    story.start(0, 1, 2)
    story.send(100, ask_vote(1, 2, 1, (0, 0)), 100)
    whole, late, early = (
        Picture(story.records, (1, 2), from_ms=start, to_ms=end).of_class("flight")[0][0]
        for start, end in ((0, 200), (150, 200), (0, 150))
    )
    (top, bottom), (middle, end) = (
        (float(parts[0].get("y1", "nan")), float(parts[0].get("y2", "nan")))
        for parts in (whole, late)
    )
    assert middle == pytest.approx((top + bottom) / 2, abs=0.2)
    assert end == bottom
    assert [len(parts) for parts in (whole, late, early)] == [2, 2, 1], "a head is where it ends"


def test_lost_messages_come_half_way_and_no_further_than_the_window() -> None:
    story = Story()
    story.start(0, 1, 2)
    story.send(100, ask_vote(1, 2, 1, (0, 0)), 40)
    story.lose(200, ask_vote(1, 2, 1, (0, 0)), after_ms=90)
    story.add(trace.Paused(at_ms=300, node=1))
    picture = Picture(story.records, (1, 2))
    (arrived,) = [one for one in picture.of_class("flight") if "lost" not in one.get("class", "")]
    (lost,) = picture.of_class("lost")
    whole, half = (
        float(one[0][0].get("y2", "nan")) - float(one[0][0].get("y1", "nan"))
        for one in (arrived, lost)
    )
    assert 0.4 * whole < half < 0.7 * whole
    assert not Picture(story.records, (1, 2), from_ms=230).of_class("lost")


@pytest.mark.parametrize(("paused_ms", "in_bar"), [(120, False), (900, True)])
def test_a_leader_says_so_in_its_bar_before_it_is_paused(paused_ms: int, in_bar: bool) -> None:
    """On the hatching nobody could read it."""
    story = Story()
    story.start(0, 1)
    story.note(100, 1, events.BecameLeader(1, (1,)))
    story.start(0, 2)
    story.add(trace.Paused(at_ms=paused_ms, node=1), trace.Resumed(at_ms=1000, node=1))
    story.add(trace.Paused(at_ms=110, node=2), trace.Resumed(at_ms=1000, node=2))
    picture = Picture(story.records, (1, 2))
    (words,) = (
        element
        for element in picture.root.iter(f"{NAMESPACE}text")
        if element.text == "leads term 1"
    )
    assert (words.get("fill") == svg.tint(1).ink) is in_bar


def test_a_fault_that_strikes_one_node_is_named_on_its_lane() -> None:
    story = Story()
    story.start(0, 1)
    story.add(trace.Disturbed(at_ms=50, node=1, what="a bit flips" * 20))
    story.add(trace.Paused(at_ms=100, node=1))
    picture = Picture(story.records, (1,))
    assert len(picture.of_class("disturbed")) == 1
    assert any(words.startswith("a bit flips") and words.endswith("…") for words in picture.words)


def test_only_the_nodes_asked_for_are_drawn() -> None:
    picture = Picture(stale_leader_is_fenced(), (2, 3))
    assert "node 1" not in picture.words
    assert not picture.of_class("fenced")
    assert picture.of_class("flight")


def test_hostile_text_is_escaped() -> None:
    text = draw(hostile(), (1,), title="<&\x00\udcff>")
    root = ElementTree.fromstring(text.encode())
    assert not list(root.iter("script"))
    words = ["".join(element.itertext()) for element in root.iter(f"{NAMESPACE}text")]
    assert r'put <script>&"\xff\x00 = ]]>\x1b[31m\xc3(' in words
    assert "<&\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}>" in words


def test_a_long_title_is_cut() -> None:
    root = ElementTree.fromstring(draw([], (1,), title="why " * 99))
    (title,) = (one.text for one in root.iter(f"{NAMESPACE}text") if "why" in (one.text or ""))
    assert title is not None
    assert title.endswith("…")
    assert svg.text_width(title, 21) < 1000


@pytest.mark.parametrize("is_stretched", [False, True])
@pytest.mark.parametrize("records", [[], [trace.Paused(at_ms=5, node=1)], hostile()[:1]])
def test_a_trace_of_nothing_can_be_drawn(records: list[trace.Record], is_stretched: bool) -> None:
    ElementTree.fromstring(draw(records, (1, 2), title="", is_stretched=is_stretched))


# --- The scene ---------------------------------------------------------------------------------


def test_a_lane_is_what_its_node_was() -> None:
    scene = scene_of(stale_leader_is_fenced())
    roles = [(one.role, one.term, one.from_ms) for one in scene.stretches if one.node == 1]
    assert roles == [
        (Role.FOLLOWER, 0, 0),
        (Role.CANDIDATE, 1, 512),
        (Role.LEADER, 1, 565),
        (Role.FOLLOWER, 2, 1692),
    ]
    assert all(
        one.to_ms == two.from_ms
        for one, two in pairwise([one for one in scene.stretches if one.node == 1])
    )


def test_a_node_that_is_down_has_no_lane() -> None:
    scene = scene_of(crash_between_write_and_fsync())
    lane = [(one.from_ms, one.to_ms) for one in scene.stretches if one.node == 4]
    assert (263, 352) in lane
    assert not [one for one in lane if one[0] < 700 and one[1] > 352]


def test_a_crash_ends_a_pause() -> None:
    story = Story()
    story.start(0, 1)
    story.add(trace.Paused(at_ms=10, node=1))
    story.add(trace.Crashed(at_ms=20, node=1, why="killed", lost_entries=0))
    story.start(90, 1)
    assert [(pause.from_ms, pause.to_ms) for pause in scene_of(story.records).pauses] == [(10, 20)]


def test_only_a_leader_is_fenced_and_a_follower_gives_nothing_up() -> None:
    story = Story()
    story.start(0, 1, 2, 3)
    story.note(1, 1, events.BecameCandidate(1), events.BecameLeader(1, (1,)))
    story.note(2, 2, events.BecameCandidate(1))
    for node in (1, 2, 3):
        story.note(3, node, events.SteppingDown(2, 1), events.BecameFollower(2))
    marks = [(mark.node, mark.turn) for mark in scene_of(story.records).marks if mark.at_ms == 3]
    assert marks == [(1, Turn.FENCED), (2, Turn.GAVE_UP)]


def test_a_message_to_a_node_that_is_down_is_lost() -> None:
    story = Story()
    story.start(0, 1, 2)
    story.add(trace.Crashed(at_ms=5, node=2, why="killed", lost_entries=0))
    story.send(10, ask_vote(1, 2, 1, (0, 0)))
    (flight,) = scene_of(story.records).flights
    assert flight.is_lost


def test_a_rejection_says_why() -> None:
    """By a newer term, by the log, or by the vote."""
    story = Story()
    story.start(0, 1, term=2)
    story.send(10, reject(2, 1, 3, 5, 4))
    story.send(10, reject(2, 1, 2, 5, 4))
    story.send(10, vote(2, 1, 2, granted=False))
    flights = scene_of(story.records).flights
    assert [flight.words for flight in flights] == ["no: term 3", "no: log differs", "no vote"]
    assert {flight.kind for flight in flights} == {Kind.REJECTED}


def test_a_message_of_a_term_gone_by_is_no_routine() -> None:
    story = Story()
    story.start(0, 2, term=2)
    story.send(10, append(1, 2, 1, (4, 1)))
    (flight,) = scene_of(story.records).flights
    assert (flight.kind, flight.is_stale, flight.words) == (
        Kind.ENTRIES,
        True,
        "heartbeat of term 1",
    )


def test_a_call_without_an_answer_lasts_to_the_end() -> None:
    story = Story()
    story.add(trace.Invoked(at_ms=1, client=1, number=1, node=1, request=api.Count()))
    story.add(trace.Paused(at_ms=90, node=1))
    (call,) = scene_of(story.records).calls
    assert (call.to_ms, call.verdict) == (90, Verdict.OPEN)


@pytest.mark.parametrize(
    ("result", "told", "verdict"),
    [
        (None, "no answer: outcome unknown", Verdict.UNKNOWN),
        (api.Failure(api.FailureCode.UNKNOWN, ""), "UNKNOWN", Verdict.UNKNOWN),
        (api.Failure(api.FailureCode.NO_LEADER, ""), "NOLEADER", Verdict.REFUSED),
        (api.PutResult(1, False), "not written", Verdict.DONE),
        (api.GetResult(1, (None,)), "absent", Verdict.DONE),
        (api.IncrementResult(1, 41), "41", Verdict.DONE),
        (api.DeleteResult(1, 1), "OK", Verdict.DONE),
    ],
)
def test_what_a_client_was_told(result: api.Result | None, told: str, verdict: Verdict) -> None:
    story = Story()
    story.call(0, 1, 1, 1, api.Count(), result, 5)
    (call,) = scene_of(story.records).calls
    assert (call.told, call.verdict) == (told, verdict)


def test_cuts_last_from_change_to_change() -> None:
    story = Story()
    for at_ms, cut in (
        (10, ((1, 2),)),
        (20, ((2, 1),)),
        (30, ()),
        (40, ((1, 3),)),
        (50, ((1, 3),)),
    ):
        story.add(trace.LinksChanged(at_ms=at_ms, cut=cut))
    cuts = [(cut.from_ms, cut.to_ms, cut.links) for cut in scene_of(story.records).cuts]
    assert cuts[:3] == [(10, 20, ((1, 2),)), (20, 30, ((2, 1),)), (40, 50, ((1, 3),))]


@pytest.mark.parametrize(
    ("links", "words"),
    [
        ([(1, 2), (2, 1), (1, 3), (3, 1)], "1 | 2 3"),
        ([(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)], "1 | 2 | 3"),
        ([(1, 2), (2, 1)], "1 <-> 2"),
        ([(1, 2), (1, 3)], "1 -> 2, 1 -> 3"),
    ],
)
def test_a_cut_in_words(links: list[tuple[int, int]], words: str) -> None:
    assert cut_words(links, (1, 2, 3)) == words
