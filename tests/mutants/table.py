"""The wrong versions: what somebody might write, or once wrote, and who notices it.

Law: a table for each part of the product; here they are put together.
"""

from __future__ import annotations

from .applying import APPLYING
from .beginning import BEGINNING
from .calling import CALLING
from .checking import CHECKING
from .consensus import CONSENSUS
from .counting import COUNTING
from .diverging import DIVERGING
from .dropping import DROPPING
from .guiding import GUIDING
from .keeping import KEEPING
from .lanes import LANES
from .leading import LEADING
from .leasing import LEASING
from .members import MEMBERS
from .past import PAST
from .receiving import RECEIVING
from .replaced import REPLACED
from .restoring import RESTORING
from .saving import SAVING
from .sending import SENDING
from .serving import SERVING
from .several import SEVERAL
from .sharing import SHARING
from .starting import STARTING
from .transacting import TRANSACTING
from .updating import UPDATING
from .upgrading import UPGRADING
from .watches import WATCHES
from .watching import WATCHING

MUTANTS = (
    *CONSENSUS,
    *LEADING,
    *REPLACED,
    *SENDING,
    *RECEIVING,
    *SERVING,
    *APPLYING,
    *LEASING,
    *SHARING,
    *SEVERAL,
    *TRANSACTING,
    *CALLING,
    *LANES,
    *KEEPING,
    *STARTING,
    *BEGINNING,
    *DROPPING,
    *COUNTING,
    *WATCHING,
    *GUIDING,
    *UPGRADING,
    *UPDATING,
    *SAVING,
    *RESTORING,
    *CHECKING,
    *MEMBERS,
    *DIVERGING,
    *PAST,
    *WATCHES,
)
