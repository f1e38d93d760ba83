"""The film of a trace: what it tells, what it leaves out, and how it is shortened."""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.raft import events
from kvstore.sim import trace
from kvstore.sim.film import Line, film, shorten
from kvstore.sim.film_words import (
    entries_words,
    links_words,
    message_words,
    request_words,
    result_words,
)

from .stories import (
    Story,
    append,
    ask_vote,
    crash_between_write_and_fsync,
    hostile,
    persist,
    reject,
    stale_leader_is_fenced,
    vote,
    vote_on_disk,
)


def told(story: Story) -> list[str]:
    """The lines, with one space for many."""
    return [" ".join(line.split()) for line in film(story.records)]


# --- What is told ------------------------------------------------------------------------------


def test_lines_have_columns_for_time_and_node() -> None:
    lines = list(film(stale_leader_is_fenced()))
    assert "     512.0 ms  node 1            became candidate of term 1" in lines


def test_a_fenced_leader_is_told_after_the_message_that_fences_it() -> None:
    lines = [" ".join(line.split()) for line in film(stale_leader_is_fenced())]
    at = lines.index("1692.0 ms node 1 stepping down: saw term 2 > my term 1")
    assert lines[at - 1].startswith("1692.0 ms node 2 -> node 1 AppendEntriesReply term 2: REJECT")
    assert lines[at + 1] == "1692.0 ms node 1 became follower of term 2"


def test_a_message_is_told_when_it_arrives() -> None:
    story = Story()
    story.send(100, ask_vote(1, 2, 3, (7, 2)), 12.5)
    assert told(story) == [
        "112.5 ms node 1 -> node 2 RequestVote term 3 (log ends at 7, term 2) [12.5 ms under way]"
    ]


def test_a_message_that_arrives_twice_is_told_twice() -> None:
    story = Story()
    story.send(100, vote(1, 2, 3), 10)
    story.add(trace.Delivered(at_ms=130, number=1))
    assert [line.split()[0] for line in told(story)] == ["110.0", "130.0"]


def test_a_lost_message_is_marked_with_the_reason() -> None:
    story = Story()
    story.lose(100, vote(2, 1, 3), "the link is cut", 5)
    story.add(trace.Delivered(at_ms=107, number=99))
    assert told(story) == [
        "105.0 ms node 2 -> node 1 LOST (the link is cut) RequestVoteReply term 3: vote granted"
    ]


def test_what_reaches_a_node_that_is_down_is_lost() -> None:
    story = Story()
    story.add(trace.Crashed(at_ms=1, node=2, why="killed", lost_entries=0))
    story.send(100, ask_vote(1, 2, 3, (7, 2)))
    story.start(200, 2)
    story.send(300, ask_vote(1, 2, 3, (7, 2)))
    lines = told(story)
    assert "LOST (node 2 is down)" in lines[1]
    assert "LOST" not in lines[3]


def test_crash_restart_pause_and_resume_are_told() -> None:
    story = Story()
    story.start(0, 1)
    story.add(trace.Paused(at_ms=10, node=1), trace.Resumed(at_ms=260, node=1))
    why = "killed between write and fsync"
    story.add(trace.Crashed(at_ms=300, node=1, why=why, lost_entries=2))
    story.start(400, 1, term=3, last_index=7)
    assert told(story) == [
        "0.0 ms node 1 starts with an empty disk",
        "10.0 ms node 1 stands still",
        "260.0 ms node 1 goes on, after 250 ms",
        "300.0 ms node 1 crashes: killed between write and fsync; loses 2 entries",
        "400.0 ms node 1 starts: term 3, no vote, log ends at 7, 0 known committed",
    ]


def test_what_reaches_the_disk_is_told() -> None:
    story = Story()
    story.add(vote_on_disk(1, 2, 3, 1), persist(2, 2, 8, 3, 3, 4, cut=8))
    assert told(story) == [
        "1.0 ms node 2 fsync: term 3, vote for node 1",
        "2.0 ms node 2 fsync: log cut from 8 on; entries 8-10 of terms 3-4",
    ]


def test_only_the_first_node_to_know_of_a_commit_is_told() -> None:
    story = Story()
    for at_ms, node in ((1, 1), (2, 2), (3, 3)):
        story.add(trace.Committed(at_ms=at_ms, node=node, term=1, index=5))
    assert told(story) == ["1.0 ms node 1 commits up to 5"]


def test_links_are_told_as_they_change() -> None:
    story = Story()
    story.add(
        trace.LinksChanged(at_ms=1, cut=((1, 2), (2, 1), (1, 3))),
        trace.LinksChanged(at_ms=2, cut=((1, 2), (2, 1), (1, 3))),
        trace.LinksChanged(at_ms=3, cut=((1, 3), (3, 1))),
        trace.LinksChanged(at_ms=4, cut=()),
        trace.Disturbed(at_ms=5, node=None, what="bad weather"),
    )
    assert told(story) == [
        "1.0 ms network links: cut 1 <-> 2, 1 -> 3",
        "3.0 ms network links: cut 3 -> 1; healed 1 <-> 2",
        "4.0 ms network links: healed 1 <-> 3; all work",
        "5.0 ms world fault: bad weather",
    ]


def test_clients_are_told_with_the_numbers_of_their_operations() -> None:
    lines = [" ".join(line.split()) for line in film(crash_between_write_and_fsync())]
    assert "330.0 ms client 4 put k1 = a17 to node 4 (op 31)" in lines
    assert "1130.0 ms client 4 op 31: outcome unknown after 800 ms" in lines
    assert "1030.0 ms client 5 op 32: NOTLEADER no, after 40 ms" in lines


def test_hostile_text_stays_on_one_printable_line() -> None:
    lines = list(film(hostile()))
    assert any(r'put <script>&"\xff\x00 = ]]>\x1b[31m\xc3( to node 1' in line for line in lines)
    assert all(line.isprintable() for line in lines)


# --- Routine -----------------------------------------------------------------------------------


def test_heartbeats_and_their_answers_are_only_counted() -> None:
    story = Story()
    for at_ms in range(0, 700, 100):
        story.heartbeat(at_ms, 1, 1, 0, 2, 3)
    story.lose(650, append(1, 2, 1, (0, 0)))
    story.add(trace.Paused(at_ms=2000, node=1))
    assert told(story) == ["... 15 heartbeats, 1 of them lost", "2000.0 ms node 1 stands still"]


def test_a_few_heartbeats_wait_for_more() -> None:
    story = Story()
    for at_ms in (0, 1000):
        story.heartbeat(at_ms, 1, 1, 0, 2, 3)
        story.add(trace.Paused(at_ms=at_ms + 500, node=2))
    assert told(story)[-1] == "... 4 heartbeats"


def test_an_answer_that_vouches_for_more_is_news() -> None:
    story = Story()
    story.heartbeat(0, 1, 1, 4, 2)
    story.heartbeat(100, 1, 1, 4, 2)
    assert [line for line in told(story) if "holds" in line] == [
        "50.0 ms node 2 -> node 1 AppendEntriesReply term 1: holds all up to 4 [24.0 ms under way]"
    ]


def test_a_heartbeat_of_a_term_gone_by_is_news() -> None:
    story = Story()
    story.start(0, 2, term=2)
    story.send(10, append(1, 2, 1, (4, 1)))
    assert "AppendEntries term 1: heartbeat after 4" in told(story)[-1]


@pytest.mark.parametrize(
    "event", [events.BecameFollower(2), events.BecameCandidate(2), events.BecameLeader(2, (2, 3))]
)
def test_a_term_is_known_by_every_event_that_enters_it(event: events.Event) -> None:
    story = Story()
    story.note(0, 2, event)
    story.send(10, append(1, 2, 1, (4, 1)))
    assert "heartbeat after 4" in told(story)[-1]


def test_rejections_are_always_told() -> None:
    story = Story()
    for at_ms in (0, 100):
        story.send(at_ms, reject(2, 1, 1, 7, 5))
        story.send(at_ms, vote(2, 1, 1, granted=False))
    lines = told(story)
    assert sum("REJECTED after 7 (log ends before 5)" in line for line in lines) == 2
    assert sum("vote REFUSED" in line for line in lines) == 2


# --- Shortening --------------------------------------------------------------------------------


def numbered(count: int, turning: tuple[int, ...] = (), terms: int = 1) -> list[Line]:
    """`terms` spreads the lines evenly over so many terms."""
    return [
        Line(str(number), 1 + number * terms // count, number in turning) for number in range(count)
    ]


def test_a_short_film_is_left_alone() -> None:
    assert list(shorten(numbered(5), 5)) == ["0", "1", "2", "3", "4"]


def test_the_last_lines_stay() -> None:
    assert list(shorten(numbered(10), 3)) == ["... (7 lines left out)", "7", "8", "9"]


def test_turning_points_before_the_end_stay() -> None:
    assert list(shorten(numbered(10, (1, 3)), 4)) == [
        "... (1 line left out)",
        "1",
        "... (1 line left out)",
        "3",
        "... (4 lines left out)",
        "8",
        "9",
    ]


def test_turning_points_of_long_ago_go() -> None:
    """Of the terms 1 to 6, those of 4 to 6 stay."""
    lines = list(shorten(numbered(60, (5, 25, 35, 45), terms=6), 10))
    assert "5" not in lines
    assert "25" not in lines
    assert {"35", "45"} <= set(lines)


def test_turning_points_take_at_most_half_of_the_room() -> None:
    lines = list(shorten(numbered(100, tuple(range(50))), 10))
    assert lines[1:6] == ["45", "46", "47", "48", "49"]
    assert lines[7:] == ["95", "96", "97", "98", "99"]


def test_nothing_may_be_kept() -> None:
    assert list(shorten(numbered(3, (0,)), 0)) == ["... (3 lines left out)"]
    assert list(shorten([], 5)) == []


def test_a_shortened_film_keeps_elections_crashes_and_step_downs() -> None:
    lines = "\n".join(film(stale_leader_is_fenced(), lines_max=24))
    for kept in ("became leader of term 1", "stands still", "became leader of term 2", "stepping"):
        assert kept in lines
    assert "left out" in lines
    assert "holds all up to 1 " not in lines


def test_the_fall_of_a_leader_is_a_turning_point() -> None:
    story = Story()
    story.note(0, 1, events.BecameLeader(1, (1,)))
    story.note(1, 1, events.SteppingDown(2, 1), events.BecameFollower(2))
    for number in range(20):
        story.note(2, 1, events.VoteGranted(2, number))
    assert [line for line in film(story.records, lines_max=4) if "stepping" in line]


def test_a_follower_that_adopts_a_term_is_no_turning_point() -> None:
    story = Story()
    story.start(0, 1)
    story.note(1, 1, events.SteppingDown(2, 1), events.BecameFollower(2))
    for number in range(20):
        story.note(2, 1, events.VoteGranted(2, number))
    assert not [line for line in film(story.records, lines_max=4) if "stepping" in line]


# --- Words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (api.Put(b"k", b"v"), "put k = v"),
        (api.Put(b"k", b"", api.When.EQUAL, b"o"), 'put k = "" if o'),
        (api.PutMany(((b"a", b"1"), (b"b", b"2"))), "put a = 1, b = 2"),
        (api.Delete((b"a", b"b")), "delete a b"),
        (api.Get((b"a",)), "get a"),
        (api.Increment(b"n", -2), "increment n by -2"),
        (api.Scan(prefix=b"p"), "scan p*"),
        (api.Scan(start=b"s"), "scan * from s"),
        (api.Scan(start=b"s", reverse=True), "scan back * from s"),
        (api.Count(), "count"),
        (api.Put(b"k" * 400, b"v" * 100_000), f"put {'k' * 23}… = {'v' * 23}…"),
    ],
)
def test_requests_in_words(request_: api.Request, words: str) -> None:
    assert request_words(request_) == words


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (api.PutResult(7, True), "OK, revision 7"),
        (api.PutResult(7, False), "not written, revision 7"),
        (api.DeleteResult(7, 2), "deleted 2, revision 7"),
        (api.IncrementResult(7, 5), "is now 5, revision 7"),
        (api.GetResult(7, (None, api.KeyValue(b"k", b"v", 1, 1, 1))), "absent, v, revision 7"),
        (api.ScanResult(7, (), None), "0 keys, revision 7"),
        (api.CountResult(7, 1), "1 key, revision 7"),
        (api.Failure(api.FailureCode.BUSY, "later"), "BUSY later"),
    ],
)
def test_results_in_words(result: api.Result, words: str) -> None:
    assert result_words(result) == words


def test_messages_in_words() -> None:
    assert message_words(append(2, 1, 3, (7, 2), 2, 3)) == (
        "AppendEntries term 3: entries 8-9 of terms 2-3 after 7"
    )
    assert entries_words(8, [3]) == "entry 8 of term 3"
    assert entries_words(8, [3] * 5) == "entries 8-12 of term 3"
    assert links_words([(2, 1), (1, 2), (3, 1)]) == "1 <-> 2, 3 -> 1"
