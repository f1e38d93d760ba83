"""Wrong versions of history: what is kept of earlier revisions, and what is found in it.

Law: each is one plausible mistake, named by what it does wrong. Where only a scripted
test can notice, because no run of a whole node comes to show it, it says which.
"""

from __future__ import annotations

from .mutant import Mutant

HISTORY = "tests/kv/test_history.py"
EVENTS = "tests/kv/test_past_events.py"
ORDERED = "tests/kv/test_ordered.py"
RANGED = "tests/kv/test_ranges.py"
ASKED = "tests/client/test_past.py"
ETCD = f"{RANGED}::test_a_range_is_answered_as_etcd_does_it"
TIED = f"{RANGED}::test_what_is_equal_comes_in_the_order_of_keys_and_a_limit_cuts_what_is_ordered"
AS_IT_WAS = f"{HISTORY}::test_each_key_is_found_as_it_was_at_each_revision"
DROPPED = f"{HISTORY}::test_what_is_dropped_is_below_the_floor_and_all_else_is_found"
VERSIONS = f"{HISTORY}::test_all_versions_of_a_key_are_told_the_last_one_first"
RANGES = f"{HISTORY}::test_a_range_is_found_as_it_was_either_way_round"
SLICES = f"{EVENTS}::test_the_slices_are_all_changes_in_their_order"

PAST = (
    Mutant(
        "a deletion does not stand in the index",
        "History.note",
        "        if version % SPACING == 0 or",
        "        if (version and version % SPACING == 0) or",
        test=AS_IT_WAS,
    ),
    Mutant(
        "what begins anew under one revision does not stand in the index",
        "History.note",
        " or (version == 1 and (old is not None or flags)):",
        ":",
        test=f"{HISTORY}"
        "::test_what_begins_anew_under_one_revision_again_and_again_takes_few_steps_too",
    ),
    Mutant(
        "the index has no puts",
        "History.note",
        "        if version % SPACING == 0 or",
        "        if not version or",
        test=f"{HISTORY}::test_an_earlier_version_takes_few_steps_however_often_a_key_changed",
    ),
    Mutant(
        "the way back ends one version too early",
        "History._as_of",
        "(position := made_by(record))[0] > revision:",
        "(position := made_by(record))[0] > revision + 1:",
        test=AS_IT_WAS,
    ),
    Mutant(
        "the index is asked for a change of the revision itself",
        "History._indexed_after",
        "undo.pack_revision(revision + 1)",
        "undo.pack_revision(revision)",
        test=AS_IT_WAS,
    ),
    Mutant(
        "the next key's change in the index is taken for one's own",
        "History._indexed_after",
        " if stored.startswith(code) else None",
        "",
        test=AS_IT_WAS,
    ),
    Mutant(
        "the index row of a change is not dropped with it",
        "History.drop",
        "            if key is not None:\n",
        "            if key is None:\n                continue\n            if not key:\n",
        test=DROPPED,
    ),
    Mutant(
        "a row of the floor is dropped",
        "History.drop",
        "            if revision >= self.floor:\n",
        "            if revision > self.floor:\n",
        test=DROPPED,
    ),
    Mutant(
        "the floor does not rise over what is dropped as too much",
        "History.drop",
        "                self.floor = revision + 1\n",
        "                self.floor = revision\n",
        test=DROPPED,
    ),
    Mutant(
        "the newest revision is dropped if it is too much",
        "History.drop",
        " or revision >= newest:",
        ":",
        test=f"{HISTORY}::test_the_newest_revision_stays_however_little_is_kept",
    ),
    Mutant(
        "the floor rises beyond the newest revision",
        "History.drop",
        "        self.floor = max(self.floor, min(floor, newest))\n",
        "        self.floor = max(self.floor, floor)\n",
        test=f"{HISTORY}::test_the_newest_revision_stays_however_little_is_kept",
    ),
    Mutant(
        "the floor falls again",
        "History.drop",
        "        self.floor = max(self.floor, min(floor, newest))\n",
        "        self.floor = min(floor, newest)\n",
        test=DROPPED,
    ),
    Mutant(
        "the floor stays where an old record was too much to be kept",
        "History.note",
        "flags, old, self.floor = flags | CUT, None, revision",
        "flags, old = flags | CUT, None",
        test=f"{HISTORY}::test_what_one_revision_replaces_is_kept_up_to_a_bound",
    ),
    Mutant(
        "what may be kept of a revision is counted over all of them",
        "History.note",
        "            if revision != self._revision:\n",
        "            if not self._revision:\n",
        test=f"{HISTORY}::test_what_one_revision_replaces_is_kept_up_to_a_bound",
    ),
    Mutant(
        "versions below the floor are told as long as they rest there",
        "History.versions",
        "            if revision <= self.floor:\n                return\n",
        "            if not revision:\n                return\n",
        test=DROPPED,
    ),
    Mutant(
        "a deletion below the floor is told as long as it rests there",
        "History.versions",
        "revision < max(self.floor, 1):",
        "revision < 1:",
        test=DROPPED,
    ),
    Mutant(
        "of a key that was made again, nothing before that is told",
        "History._deleted_by",
        "            if stored.startswith(code):\n",
        "            if not code:\n",
        test=VERSIONS,
    ),
    Mutant(
        "a range forgets the keys that are gone",
        "History.range_at",
        "merge(live, gone, key=itemgetter(0))",
        "live",
        test=RANGES,
    ),
    Mutant(
        "a range back forgets the keys that are gone",
        "History.range_back_at",
        "merge(live, gone, key=itemgetter(0), reverse=True)",
        "live",
        test=RANGES,
    ),
    Mutant(
        "a key is told twice that lives and stands in the index",
        "History._all_as_of",
        "            last = key\n",
        "            last = None\n",
        test=f"{HISTORY}::test_a_range_tells_each_key_once_and_ends_where_it_shall",
    ),
    Mutant(
        "the end of a range is a part of it where keys are gone",
        "History._keys_indexed",
        "key >= end:",
        "key > end:",
        test=f"{HISTORY}::test_a_range_tells_each_key_once_and_ends_where_it_shall",
    ),
    Mutant(
        "each change of a key in the index is looked at in a range",
        "History._keys_indexed",
        "            at = found[0][:-REVISION_BYTES] + _BEHIND_ALL\n",
        '            at = found[0] + b"\\0"\n',
        test=f"{HISTORY}::test_hot_keys_are_passed_in_one_step_each",
    ),
    Mutant(
        "a full group is taken for the last one",
        "ordered.encode",
        "        code.append(_MORE)\n",
        "        code.append(group_bytes)\n",
        test=f"{ORDERED}::test_the_key_is_found_again_and_what_follows_it",
    ),
    Mutant(
        "a short key is coded by its bytes alone, so a longer one may begin with it",
        "ordered.encode",
        '        return key.ljust(group_bytes, b"\\0") + bytes((length,))\n',
        "        return key + bytes((length,))\n",
        test=f"{ORDERED}::test_codes_are_in_the_order_of_their_keys",
    ),
    Mutant(
        "a slice leaves out what it took and had no steps for",
        "events.events",
        "            after = at\n            break\n",
        "            break\n",
        test=SLICES,
    ),
    Mutant(
        "a slice ends within a revision",
        "events.events",
        "    if after is not None and made[0][0][0] != after[0]:\n",
        "    if after is None:\n",
        test=f"{EVENTS}::test_a_slice_splits_no_revision_that_it_could_hold",
    ),
    Mutant(
        "what a key became is what it is now",
        "events._change",
        "history.version_at(row.key, at[0])",
        "history.version_at(row.key, 1 << 60)",
        test=SLICES,
    ),
    Mutant(
        "more and count are told of what the filters left",
        "Ranging._look",
        "                count += 1\n",
        "                count += _passes(query, record)\n",
        test=ETCD,
    ),
    Mutant(
        "the limit is reached by what the filters leave out",
        "ranges._wanted",
        "return query.limit + 1 if",
        "return query.limit if",
        test=TIED,
    ),
    Mutant(
        "a range that is ordered is cut before that",
        "ranges._wanted",
        "    is_ordered = query.target is not api.Target.KEY or query.order is api.Order.DESCEND\n",
        "    is_ordered = query.target is not api.Target.KEY\n",
        test=TIED,
    ),
    Mutant(
        "what is equal comes the other way round where the order does",
        "Ranging.range",
        "            found.sort(key=_BY[query.target], reverse=is_down)\n",
        "            found.sort(key=_BY[query.target])\n"
        "            found = found[::-1] if is_down else found\n",
        test=TIED,
    ),
    Mutant(
        "a range is told as of now, whenever it is asked for",
        "Ranging._look",
        "        is_now = query.revision in (0, self._newest)\n",
        "        is_now = query.revision >= 0\n",
        test=ETCD,
    ),
    Mutant(
        "keys that were gone are counted",
        "Ranging._look",
        "            if record is not None:\n",
        "            count += record is None\n            if record is not None:\n",
        test=ETCD,
    ),
    Mutant(
        "the floor cannot be asked for",
        "past.refusal",
        "    if 0 < revision < floor:\n",
        "    if 0 < revision <= floor:\n",
        test=f"{RANGED}::test_what_is_not_kept_any_more_is_refused_with_the_first_revision_that_is",
    ),
    Mutant(
        "what is below the floor is told as far as it is there",
        "past.refusal",
        "    if 0 < revision < floor:\n",
        "    if revision < 0:\n",
        test=f"{RANGED}::test_what_is_not_kept_any_more_is_refused_with_the_first_revision_that_is",
    ),
    Mutant(
        "a range is looked at to its end, however long that takes",
        "Ranging._look",
        "            if self._steps_so_far >= steps_max:\n",
        "            if steps_max < 0:\n",
        test=f"{RANGED}::test_a_range_that_takes_too_long_is_refused_before_it_has",
    ),
    Mutant(
        "the next page of versions begins with the last one again",
        "Ranging.versions",
        "min(query.before - 1, newest)",
        "min(query.before, newest)",
        test=f"{RANGED}::test_the_versions_of_a_key_come_in_pages",
    ),
    Mutant(
        "what is dropped while a client looks back is an error",
        "Looking.ends_with",
        "        return self._page is not None and",
        "        return self._page is None and",
        test=f"{ASKED}::test_what_is_dropped_meanwhile_is_told_no_more",
    ),
)
