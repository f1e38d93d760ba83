"""The methods of a blocking client that are about transactions.

Law: each is what it says of itself, and asks for what `transactions.py` makes of it. It must not
know how anything is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kvstore import api
from kvstore.client import transactions
from kvstore.client.arguments import Text
from kvstore.client.asking import Asking
from kvstore.client.transactions import Condition, Transaction


class TxnMethods(Asking):
    """What a client may do at once, under conditions."""

    def txn(
        self,
        when: Iterable[Condition] = (),
        then: Iterable[api.Operation] = (),
        otherwise: Iterable[api.Operation] = (),
        *,
        guard: tuple[Text, int] | None = None,
    ) -> api.TxnResult | api.Repeated:
        """Do what `then` says if all conditions hold, else what `otherwise` says, in one step.

        Conditions are made by `kvstore.key("a").version == 0`, operations by
        `kvstore.key("a").put("b")`; both also for `kvstore.keys("prefix")`. `succeeded` in the
        result tells the branch, and `results` what each of its operations was answered. It is
        `Repeated` if the answer was lost, and was too long to be kept.
        """
        request = transactions.txn(when, then, otherwise, guard)
        return self._ask(request, api.TxnResult | api.Repeated)  # type: ignore[arg-type]

    @contextmanager
    def transaction(self, *, guard: tuple[Text, int] | None = None) -> Iterator[Transaction]:
        """A transaction to be filled in a `with` block, and carried out at its end.

        Raises TransactionFailedError if something that it requires does not hold. Nothing is
        sent before the end, and nothing at all if the block raises.
        """
        transaction = Transaction(guard)
        yield transaction
        result = self._ask(transaction.request(), api.TxnResult)
        transaction.take(result)
