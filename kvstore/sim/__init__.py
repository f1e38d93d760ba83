"""A deterministic simulator: the production `Node` in a world made of one seed.

Law: everything that happens follows from the seed. No clock, no thread, no file
and no global chance: time is a number that the world moves, and every fault is
drawn from a `random.Random`. What runs inside is `kvstore.server.node.Node` as
production runs it; only clock, network, disks and clients are replaced.

    world       one run: hosts, clients and faults on one schedule, watched by the checkers
    host        one machine: turns of a node, crashes at any point, pauses, a drifting clock
    disk        the two stores on a disk that loses, stalls, fails, fills up and rots
    network     delay, loss, duplication, reordering, cut links
    clients     callers that time out and retry, and write down what they saw
    shipped_clients  the same, as the client that ships decides
    cursor_clients   the same, by SCAN, with cursors that nodes keep
    faults      the plan of what goes wrong, and when
    checkers/   one file per theorem
    campaign    many seeds, over all processors
    trace       what happened, as values; film (text) and diagram (SVG) show it

It must not know sockets, LMDB or the command line.
"""
