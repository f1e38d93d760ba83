----------------------------- MODULE Membership -----------------------------
(* Who votes, and how that changes while a cluster runs (thesis 4; decision 49).

   A node is its directory: what it promised lies there. Who lost it comes back with
   another one, which has promised nothing. So it is DIRECTORIES THAT VOTE, and a node is
   no more than the directories that it ever has, of which one at a time may be a voter.
   To make a node a learner is to take its directory out of the voters; to promote it is
   to put one in, by name. Each is one change, and so the new one follows the old one.

   Raft.tla holds what is known of Raft with voters that stay. This model is coarser, so
   that there is room for configurations. What it leaves out is silence, or allows more:

   - A lost directory, a crash and a cut link are silence. Nobody ever has to do anything,
     and all may act at any time: who was lost, removed, replaced or never asked, too.
   - What a directory says is on its disk, and can be read by anybody at any later time.
   - Who stands does nothing before its first vote, and leads as soon as it has enough. A
     leader counts acknowledgements at once. To be slower is silence.
   - A vote that would not count changes nothing, so none is given.
   - AppendEntries tell a log from its beginning. What is there already stays as it is; and
     a part that comes as a snapshot is the same part. *)

EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Node,       \* each is the set of the directories that it ever has
    Founders,   \* the directories that vote at first
    MaxTerm,    \* bounds of what TLC explores, not of Raft
    MaxLog

VARIABLES
    term,       \* directory -> the newest term that it has seen
    log,        \* directory -> entries, each [term, voters]: those in force since
    votes,      \* <<term, from, to>>: all that were ever given
    led,        \* term -> [by, log, commit]: who led it, what was told and decided in it
    acks        \* term -> directory -> how much of that log it said to hold

vars == <<term, log, votes, led, acks>>

-----------------------------------------------------------------------------
(* Words. *)

Term == 1..MaxTerm

Directory == UNION Node

NodeOf(d) == CHOOSE node \in Node : d \in node

Max(a, b) == IF a > b THEN a ELSE b

First(n, entries) == SubSeq(entries, 1, n)

Last(entries) == entries[Len(entries)]

IsPrefix(short, long) ==
    /\ Len(short) <= Len(long)
    /\ short = First(Len(short), long)

LastTerm(entries) == IF entries = <<>> THEN 0 ELSE Last(entries).term

IsAhead(one, two) ==
    \/ LastTerm(one) > LastTerm(two)
    \/ LastTerm(one) = LastTerm(two) /\ Len(one) > Len(two)

(* Configurations. *)

\* In force is the last one in the log, committed or not. Who joins knows nobody at first.
Voters(d) ==
    IF log[d] # <<>> THEN Last(log[d]).voters
    ELSE IF d \in Founders THEN Founders ELSE {}

\* Counted is the very directory that is named.
Counts(d, voters) == d \in voters

IsMajority(supporters, voters) ==
    2 * Cardinality({d \in supporters : Counts(d, voters)}) > Cardinality(voters)

\* By these entries `d` was a voter, and is none any more.
IsEnded(d, entries) ==
    /\ entries # <<>>
    /\ d \notin Last(entries).voters
    /\ d \in Founders \cup UNION {entries[n].voters : n \in DOMAIN entries}

VotersAt(n, entries) == IF n = 0 THEN Founders ELSE entries[n].voters

\* Which entry brought the configuration in force; 0 for that of the founders.
InForceAt(entries) ==
    CHOOSE n \in 0..Len(entries) :
        /\ \A m \in n..Len(entries) : VotersAt(m, entries) = VotersAt(n, entries)
        /\ n > 0 => VotersAt(n - 1, entries) # VotersAt(n, entries)

\* One voter more, of a node that has none, or one less.
Changes(voters) ==
    {voters \cup {d} : d \in {d \in Directory : voters \cap NodeOf(d) = {}}}
        \cup {voters \ {d} : d \in voters}

-----------------------------------------------------------------------------

Init ==
    /\ term  = [d \in Directory |-> 0]
    /\ log   = [d \in Directory |-> <<>>]
    /\ votes = {}
    /\ led   = [t \in Term |-> [by |-> {}, log |-> <<>>, commit |-> 0]]
    /\ acks  = [t \in Term |-> [d \in Directory |-> 0]]

-----------------------------------------------------------------------------
(* Elections. *)

\* Who has a configuration may, though it does not vote by it: one that waits or is ended may
\* have the one log that can win. But nobody stands beside another directory of its node.
MayStand(d) ==
    /\ Voters(d) # {}
    /\ d \in Voters(d) \/ Voters(d) \cap NodeOf(d) = {}

\* Who stands in the term in which it is, and has not followed a leader of it.
Stands(d) == <<term[d], d, d>> \in votes /\ acks[term[d]][d] = 0

\* A leader opens its term with an entry of its own, the no-op.
Elect(d, t, given) ==
    IF IsMajority({v[2] : v \in {v \in given : v[1] = t /\ v[3] = d}}, Voters(d))
    THEN LET opened == Append(log[d], [term |-> t, voters |-> Voters(d)]) IN
        /\ Len(opened) <= MaxLog
        /\ log' = [log EXCEPT ![d] = opened]
        /\ led' = [led EXCEPT ![t].by = @ \cup {d}, ![t].log = opened]
        /\ acks' = [acks EXCEPT ![t][d] = Len(opened)]
    ELSE UNCHANGED <<log, led, acks>>

\* The log alone decides for whom, and the own configuration is not asked: any directory
\* may vote, one that waits and one that is ended, and for any.
WouldVote(d, candidate) == ~IsAhead(log[d], log[candidate])

\* Nobody has to be asked for its own vote, unless there is no other.
MayVote(d, candidate, t) ==
    /\ t >= term[d]
    /\ d # candidate \/ Voters(d) = {d}
    /\ Counts(d, Voters(candidate))
    /\ ~ \E v \in votes : v[1] = t /\ v[2] = d
    /\ WouldVote(d, candidate)

\* With its first vote. A term that follows one in which nobody stood could be that one.
Stand(d, t, voter) ==
    /\ t > term[d]
    /\ t > 1 => \E v \in votes : v[1] = t - 1
    /\ MayStand(d)
    /\ MayVote(voter, d, t)
    /\ term' = [term EXCEPT ![d] = t, ![voter] = t]
    /\ votes' = votes \cup {<<t, d, d>>, <<t, voter, d>>}
    /\ Elect(d, t, votes')

Vote(d, candidate) ==
    LET t == term[candidate] IN
    /\ t > 0
    /\ Stands(candidate)
    /\ MayVote(d, candidate, t)
    /\ term' = [term EXCEPT ![d] = t]
    /\ votes' = votes \cup {<<t, d, candidate>>}
    /\ Elect(candidate, t, votes')

-----------------------------------------------------------------------------
(* Replication. *)

\* Up to where a term's log is decided: as before, or up to an entry of the term that a
\* majority holds, by the configuration in force (Raft 5.4.2). Who leads and is no voter
\* does not count itself.
Decided(t, entries, held, before) ==
    LET ends == {before} \cup {n \in DOMAIN entries :
            /\ entries[n].term = t
            /\ IsMajority({d \in Directory : held[d] >= n}, Last(entries).voters)}
    IN CHOOSE n \in ends : \A m \in ends : m <= n

Take(d, t, n) ==
    /\ t >= term[d]
    /\ led[t].by # {}
    /\ d \notin led[t].by
    /\ LET told == First(n, led[t].log)
           held == [acks[t] EXCEPT ![d] = Max(@, n)] IN
        /\ log' = [log EXCEPT ![d] = IF IsPrefix(told, @) THEN @ ELSE told]
        /\ acks' = [acks EXCEPT ![t] = held]
        /\ led' = [led EXCEPT ![t].commit = Decided(t, led[t].log, held, @)]
    /\ term' = [term EXCEPT ![d] = t]
    /\ UNCHANGED votes

\* `commit` counts entries of the term itself alone: 0 until one is committed.
HasCommittedInTerm(t) == led[t].commit > 0

IsInForceForGood(t) == InForceAt(led[t].log) <= led[t].commit

Change(d, voters) ==
    LET t == term[d] IN
    /\ t > 0
    /\ d \in led[t].by
    /\ HasCommittedInTerm(t)
    /\ IsInForceForGood(t)
    /\ voters # {}
    /\ Len(log[d]) < MaxLog
    /\ LET entries == Append(log[d], [term |-> t, voters |-> voters])
           held == [acks[t] EXCEPT ![d] = Len(entries)] IN
        /\ log' = [log EXCEPT ![d] = entries]
        /\ acks' = [acks EXCEPT ![t] = held]
        /\ led' = [led EXCEPT ![t].log = entries,
                              ![t].commit = Decided(t, entries, held, @)]
    /\ UNCHANGED <<term, votes>>

-----------------------------------------------------------------------------

Next ==
    \E d \in Directory :
        \/ \E t \in Term, voter \in Directory : Stand(d, t, voter)
        \/ \E candidate \in Directory : Vote(d, candidate)
        \/ \E t \in Term : \E n \in DOMAIN led[t].log : Take(d, t, n)
        \/ \E voters \in Changes(Voters(d)) : Change(d, voters)

Spec == Init /\ [][Next]_vars

Symmetry ==
    {p \in Permutations(Directory) :
        /\ {{p[d] : d \in node} : node \in Node} = Node
        /\ {p[d] : d \in Founders} = Founders}

-----------------------------------------------------------------------------
(* What must hold. *)

\* At most one leader in each term, ever.
ElectionSafety ==
    \A t \in Term : Cardinality(led[t].by) <= 1

DecidedIn(t) == First(led[t].commit, led[t].log)

\* What one term decides, the leaders of all later terms have.
LeaderCompleteness ==
    \A early, late \in Term :
        early < late /\ led[late].by # {} => IsPrefix(DecidedIn(early), led[late].log)

\* No two terms decide different entries for one index.
StateMachineSafety ==
    \A one, two \in Term :
        \/ IsPrefix(DecidedIn(one), DecidedIn(two))
        \/ IsPrefix(DecidedIn(two), DecidedIn(one))

\* Whoever leads a term in which a majority still is, by its own configuration, is the newest
\* leader: so what it answers to reads that this majority confirms is fresh (Raft 8).
ConfirmedReadsAreFresh ==
    \A t \in Term : \A d \in led[t].by :
        (term[d] = t /\ IsMajority({v \in Directory : term[v] <= t}, Voters(d)))
            => \A later \in Term : later > t => led[later].by = {}

(* Majorities. *)

Helpers(d, among) == {v \in among : Counts(v, Voters(d)) /\ (v = d \/ WouldVote(v, d))}

CanWin(d, among) == MayStand(d) /\ IsMajority(Helpers(d, among), Voters(d))

Majority(voters) == Cardinality(voters) \div 2 + 1

\* Never could two win, and then decide, each by a majority of its own configuration, that
\* have nobody in common.
OneSideDecides ==
    LET able == {d \in Directory : CanWin(d, Directory)} IN
    \A one, two \in able :
        one # two =>
            Cardinality(Helpers(one, Directory) \cup Helpers(two, Directory))
                < Majority(Voters(one)) + Majority(Voters(two))

\* There is always one who can win. Let those who are up be a majority of the configuration
\* that was decided last, and of each that may yet be decided and that one of them has. The
\* others are silent, and so is whom the last one decided has ended: that may be known.
LastDecided ==
    LET most == CHOOSE t \in Term : \A other \in Term : led[other].commit <= led[t].commit
    IN DecidedIn(most)

SomebodyCanWin ==
    LET decided == LastDecided
        last == VotersAt(Len(decided), decided) IN
    \A up \in SUBSET {d \in Directory : ~IsEnded(d, decided)} :
        /\ IsMajority(up, last)
        /\ \A d \in up : log[d] # <<>> /\ IsPrefix(decided, log[d]) => IsMajority(up, Voters(d))
        => \E d \in up : CanWin(d, up)

=============================================================================
