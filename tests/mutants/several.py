"""Wrong versions of what touches several keys at once, or counts them all.

Law: each is one plausible mistake, named by what it does wrong. Only simulated runs notice:
what clients were told is held against the log.
"""

from __future__ import annotations

from .mutant import Mutant

_WRITE_ALL = "        for sub, (key, value) in enumerate(last_of_each.items()):\n"
_DELETED = "        deleted = len(gone)\n"
_READ_ALL = "        for key in get.keys:\n            record = self._record(key)\n"
_COUNT = "        return api.CountResult(self.revision, self._keys.count())\n"

SEVERAL = (
    Mutant(
        "an MSET writes all of its keys but the last",
        "StateMachine._put_many",
        _WRITE_ALL,
        _WRITE_ALL + "            if len(last_of_each) > 1 and key == [*last_of_each][-1]:\n"
        "                break\n",
    ),
    Mutant(
        "each key of an MSET has a revision of its own",
        "StateMachine._put_many",
        _WRITE_ALL,
        _WRITE_ALL + "            self.revision += key != [*last_of_each][0]\n",
    ),
    Mutant(
        "of equal keys in an MSET the first wins",
        "StateMachine._put_many.last_of_each",
        "        last_of_each = dict(put.pairs)\n",
        "        last_of_each = dict(reversed(put.pairs))\n",
    ),
    Mutant(
        "an MSET whose guard does not hold is written all the same",
        "StateMachine._write_guarded",
        "            if mod_revision != write.guard.mod_revision:\n",
        "            is_put = isinstance(write, api.PutMany)\n"
        "            if mod_revision != write.guard.mod_revision and not is_put:\n",
    ),
    Mutant(
        "a DEL counts the keys that it was given",
        "StateMachine._delete.deleted",
        _DELETED,
        _DELETED + "        deleted = deleted and len(delete.keys)\n",
    ),
    Mutant(
        "a DEL counts one key at most",
        "StateMachine._delete.deleted",
        _DELETED,
        _DELETED + "        deleted = min(deleted, 1)\n",
    ),
    Mutant(
        "a DEL stops at the first key that is not there",
        "StateMachine._delete",
        "            old = self._record(key)\n",
        "            old = self._record(key)\n            if old is None:\n                break\n",
    ),
    Mutant(
        "who watches hears of one key of a DEL only",
        "StateMachine._delete",
        "deleted), *gone)\n",
        "deleted), *gone[:1])\n",
    ),
    Mutant(
        "who watches hears of the keys of an MSET in the order of their writing, and of one again",
        "StateMachine._put_many",
        "*changes)\n",
        "*changes, *changes[:1])\n",
    ),
    Mutant(
        "who watches hears of an increment twice, when it comes and when it comes again",
        "Sessions.once",
        "            effect = Effect(_decode_result(record.result))\n",
        "            told = ((once.write.key, None, None),)\n"
        "            effect = Effect(_decode_result(record.result), told)\n",
    ),
    Mutant(
        "an MGET reads its keys as of two moments",
        "StateMachine._get",
        _READ_ALL,
        _READ_ALL + "            if key != get.keys[0]:\n"
        "                earlier = vars(self).setdefault('_earlier', {})\n"
        "                record, earlier[key] = earlier.get(key, record), record\n",
    ),
    Mutant(
        "an MGET tells the revision of its newest record",
        "StateMachine._get",
        "        return api.GetResult(self.revision, tuple(items))\n",
        "        newest = max((one.mod_revision for one in items if one), default=self.revision)\n"
        "        is_one = len(items) == 1\n"
        "        return api.GetResult(self.revision if is_one else newest - 1, tuple(items))\n",
    ),
    Mutant(
        "DBSIZE counts what was there at the last count",
        "StateMachine._count",
        _COUNT,
        "        earlier = vars(self).setdefault('_counted', self._keys.count())\n"
        "        vars(self)['_counted'] = self._keys.count()\n"
        "        return api.CountResult(self.revision, earlier)\n",
    ),
    Mutant(
        "DBSIZE tells the revision before the one that it counts at",
        "StateMachine._count",
        _COUNT,
        "        return api.CountResult(max(0, self.revision - 1), self._keys.count())\n",
    ),
    Mutant(
        "DBSIZE is answered by whoever is asked, as of whatever it has applied",
        "Node.submit_query",
        "        self._answers += self.known_leader.refuse_reads_of_others(self)\n"
        "        after = 0\n",
        "        self._answers += self.known_leader.refuse_reads_of_others(self)\n"
        "        if isinstance(query, api.Count):\n"
        "            self._answer(ticket, self.machine.query(query))\n"
        "            return\n"
        "        after = 0\n",
    ),
    Mutant(
        "a cursor leads to where its page began",
        "ScanCursors.page.render",
        "                cursor = self.remember(result.next_start, scan.cursor, client)\n",
        "                cursor = self.remember(start_key, scan.cursor, client)\n",
    ),
    Mutant(
        "a scan has one cursor for all of its pages",
        "ScanCursors.page.render",
        "            return scan.render(result, cursor)\n",
        "            return scan.render(result, scan.cursor or cursor)\n",
    ),
    Mutant(
        "a cursor is forgotten when it was used",
        "ScanCursors.remember",
        "            self._forget(self._cursors[previous].previous)\n",
        "            self._forget(previous)\n",
    ),
    Mutant(
        "a page ends the scans of others",
        "ScanCursors.remember",
        "        if len(told) > _CURSORS_OF_CLIENT:\n",
        "        if len(told) > 2:\n",
    ),
    Mutant(
        "an MSET that was rolled back is told to have been written",
        "WaitingWrites.settle",
        "rolled_back(here.redirect()))",
        "refusals.api.PutResult(here.machine.revision, written=True))",
    ),
)
