-------------------------------- MODULE Raft --------------------------------
(* Raft as kvstore runs it: what one node may do, and what must then hold for all.

   One law shapes it: PERSIST, THEN SPEAK. A node works in memory (`mem`); what it
   has to say waits (`outbox`) until its disk (`disk`) holds all that it works on.

   Three abstractions keep it small. Each allows more than the program does, so what
   is safe here is safe there.

   - A message that was sent is never removed. To receive is to look at it: at once,
     late, twice, in any order, or never.
   - To count votes or acknowledgements is to look at which of them were sent.
   - A leader only ever adds to its log while its term lasts. So every AppendEntries
     of a term is a piece of one log, and we keep that log (`said`), not the pieces.
     Which piece goes to whom (next_index) is nobody's business: any, to anyone.

   An entry is its term: with its index, that names it. There is no clock, so a
   timeout may come at any moment. Refusals say nothing but a term, see LearnTerm. *)

EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Node,       \* the members
    Nobody,     \* what `vote` is before a vote
    MaxTerm,    \* bounds of what TLC explores, not of Raft
    MaxLog

VARIABLES
    role,       \* node -> "follower", "candidate" or "leader"
    mem,        \* node -> [term, vote, log]: what it works on
    disk,       \* node -> [term, vote, log]: what it finds after a crash
    commit,     \* node -> up to here it knows its log to be decided
    outbox,     \* node -> messages that wait for its disk
    network,    \* messages that were ever sent, AppendEntries apart
    said        \* term -> what its leader has told: [by, log, commit]

vars == <<role, mem, disk, commit, outbox, network, said>>

-----------------------------------------------------------------------------
(* Words. *)

Term == 1..MaxTerm

Min(a, b) == IF a < b THEN a ELSE b
Max(a, b) == IF a > b THEN a ELSE b

IsMajority(nodes) == 2 * Cardinality(nodes) > Cardinality(Node)

First(n, log) == SubSeq(log, 1, n)

IsPrefix(short, long) ==
    /\ Len(short) <= Len(long)
    /\ short = First(Len(short), long)

TermAt(n, log) == IF n = 0 THEN 0 ELSE log[n]

Holds(log, n, term) == n <= Len(log) /\ TermAt(n, log) = term

\* How far a node's disk has the log that it works on.
DurableIndex(i) ==
    CHOOSE n \in 0..Min(Len(mem[i].log), Len(disk[i].log)) :
        /\ First(n, mem[i].log) = First(n, disk[i].log)
        /\ \/ n = Min(Len(mem[i].log), Len(disk[i].log))
           \/ mem[i].log[n + 1] # disk[i].log[n + 1]

(* Messages. All but the last kind are in `network`, whoever may read them. *)

RequestVote(i, term, log) ==
    [kind |-> "RequestVote", term |-> term, from |-> i,
     lastIndex |-> Len(log), lastTerm |-> TermAt(Len(log), log)]

Vote(i, term, candidate) ==
    [kind |-> "Vote", term |-> term, from |-> i, to |-> candidate]

Ack(i, term, index) ==
    [kind |-> "Ack", term |-> term, from |-> i, index |-> index]

AppendEntries(i, term, prev, last, committed) ==
    [term |-> term, from |-> i, prev |-> prev, prevTerm |-> TermAt(prev, said[term].log),
     entries |-> SubSeq(said[term].log, prev + 1, last), commit |-> committed]

Appends(term) ==
    IF term = 0 THEN {} ELSE
    UNION {UNION {{AppendEntries(i, term, prev, last, committed) :
        i \in said[term].by, prev \in 0..last} :
        last \in 0..Len(said[term].log)} : committed \in 0..said[term].commit}

-----------------------------------------------------------------------------
(* At first nobody knows anything. *)

Init ==
    /\ role    = [i \in Node |-> "follower"]
    /\ mem     = [i \in Node |-> [term |-> 0, vote |-> Nobody, log |-> <<>>]]
    /\ disk    = mem
    /\ commit  = [i \in Node |-> 0]
    /\ outbox  = [i \in Node |-> {}]
    /\ network = {}
    /\ said    = [t \in Term |-> [by |-> {}, log |-> <<>>, commit |-> 0]]

-----------------------------------------------------------------------------
(* Disk, and crashes. *)

\* To be said when the disk has it; what was said before need not be said again.
Say(i, messages) ==
    outbox' = [outbox EXCEPT ![i] = @ \cup (messages \ network)]

\* The end of a turn: all of memory reaches the disk in one transaction, and only then
\* does the node speak. What it meant to say in an earlier term it no longer says.
Persist(i) ==
    /\ disk' = [disk EXCEPT ![i] = mem[i]]
    /\ network' = network \cup outbox[i]
    /\ outbox' = [outbox EXCEPT ![i] = {}]
    /\ UNCHANGED <<role, mem, commit, said>>

\* A crash at any moment, and a start from disk. The node knows to be decided what it had
\* applied and kept, `applied`: some of what was, and on its disk.
Restart(i, applied) ==
    /\ applied <= Min(commit[i], DurableIndex(i))
    /\ role' = [role EXCEPT ![i] = "follower"]
    /\ mem' = [mem EXCEPT ![i] = disk[i]]
    /\ commit' = [commit EXCEPT ![i] = applied]
    /\ outbox' = [outbox EXCEPT ![i] = {}]
    /\ UNCHANGED <<disk, network, said>>

-----------------------------------------------------------------------------
(* Terms and elections. *)

\* A message of a newer term is heard twice: first for its term, then for what it says.
\* This is the whole of fencing: whoever leads an older term leads no more.
LearnTerm(i, term) ==
    /\ term > mem[i].term
    /\ mem' = [mem EXCEPT ![i].term = term, ![i].vote = Nobody]
    /\ role' = [role EXCEPT ![i] = "follower"]
    /\ outbox' = [outbox EXCEPT ![i] = {}]
    /\ UNCHANGED <<disk, commit, network, said>>

Timeout(i) ==
    /\ role[i] # "leader"
    /\ mem[i].term < MaxTerm
    /\ LET term == mem[i].term + 1 IN
        /\ mem' = [mem EXCEPT ![i].term = term, ![i].vote = i]
        /\ outbox' = [outbox EXCEPT ![i] = {RequestVote(i, term, mem[i].log)}]
    /\ role' = [role EXCEPT ![i] = "candidate"]
    /\ UNCHANGED <<disk, commit, network, said>>

\* One vote a term, and none for a log that is behind one's own.
MayGrant(i, m) ==
    /\ m.term = mem[i].term
    /\ m.from # i
    /\ mem[i].vote \in {Nobody, m.from}
    /\ LET lastTerm == TermAt(Len(mem[i].log), mem[i].log) IN
        \/ m.lastTerm > lastTerm
        \/ m.lastTerm = lastTerm /\ m.lastIndex >= Len(mem[i].log)

Grant(i, m) ==
    /\ MayGrant(i, m)
    /\ mem' = [mem EXCEPT ![i].vote = m.from]
    /\ Say(i, {Vote(i, m.term, m.from)})
    /\ UNCHANGED <<role, disk, commit, network, said>>

\* A candidate's own vote counts like any other: when it is durable.
Voters(i) ==
    {j \in Node : Vote(j, mem[i].term, i) \in network}
        \cup {j \in {i} : disk[j].term = mem[i].term /\ disk[j].vote = i}

\* A leader tells its log and commit index at once, before its own disk has the new
\* entries (thesis 10.2.1). Its term and its vote are durable: it was elected by them.
Tell(i, log, committed) ==
    said' = [said EXCEPT ![mem[i].term] =
                [by |-> @.by \cup {i}, log |-> log, commit |-> committed]]

\* A leader opens its term with an entry of its own, the no-op.
BecomeLeader(i) ==
    /\ role[i] = "candidate"
    /\ IsMajority(Voters(i))
    /\ Len(mem[i].log) < MaxLog
    /\ LET log == mem[i].log \o <<mem[i].term>> IN
        /\ mem' = [mem EXCEPT ![i].log = log]
        /\ Tell(i, log, commit[i])
    /\ role' = [role EXCEPT ![i] = "leader"]
    /\ UNCHANGED <<disk, commit, outbox, network>>

-----------------------------------------------------------------------------
(* Replication. *)

Propose(i) ==
    /\ role[i] = "leader"
    /\ Len(mem[i].log) < MaxLog
    /\ LET log == mem[i].log \o <<mem[i].term>> IN
        /\ mem' = [mem EXCEPT ![i].log = log]
        /\ Tell(i, log, commit[i])
    /\ UNCHANGED <<role, disk, commit, outbox, network>>

\* `log` with `entries` after `prev`. Where it has them already it stays as it is, even if
\* it is longer: only an entry of another term in their place is a conflict.
Merged(log, prev, entries) ==
    IF \A k \in DOMAIN entries : Holds(log, prev + k, entries[k])
    THEN log
    ELSE First(prev, log) \o entries

\* A follower takes entries only where they fit on, and vouches for no more than it was told, or
\* knows to be decided: that every leader has.
Fits(i, m) ==
    /\ m.term = mem[i].term
    /\ m.from # i
    /\ role[i] # "leader"
    /\ Holds(mem[i].log, m.prev, m.prevTerm)

After(i, m) ==
    LET last == m.prev + Len(m.entries) IN
    [log    |-> Merged(mem[i].log, m.prev, m.entries),
     commit |-> Max(commit[i], Min(m.commit, last)),
     acks   |-> {Ack(i, m.term, n) : n \in 1..Max(last, commit[i])} \ network]

Accept(i, after) ==
    /\ mem' = [mem EXCEPT ![i].log = after.log]
    /\ commit' = [commit EXCEPT ![i] = after.commit]
    /\ Say(i, after.acks)
    /\ role' = [role EXCEPT ![i] = "follower"]
    /\ UNCHANGED <<disk, network, said>>

\* A snapshot is what some leader knew to be decided, all at once (Raft 7). It is as good as an
\* AppendEntries that begins with the first entry: what a log drops in front, it holds here.
Install(i, t, n) ==
    /\ role[i] # "leader"
    /\ t <= mem[i].term
    /\ n > commit[i]
    /\ n <= said[t].commit
    /\ mem' = [mem EXCEPT ![i].log = Merged(@, 0, First(n, said[t].log))]
    /\ commit' = [commit EXCEPT ![i] = n]
    /\ UNCHANGED <<role, disk, outbox, network, said>>

\* Within its term a node may stop standing or leading at any time: because it hears the
\* leader, because no majority answers, because it stood still. Nobody has to be told why.
GiveUp(i) ==
    /\ role[i] # "follower"
    /\ role' = [role EXCEPT ![i] = "follower"]
    /\ UNCHANGED <<mem, disk, commit, outbox, network, said>>

\* A leader's own log counts like any other: as far as it is durable.
Holders(i, n) ==
    {j \in Node : Ack(j, mem[i].term, n) \in network}
        \cup {j \in {i} : n <= DurableIndex(j)}

\* Entries of earlier terms are decided only by one of this term after them (Raft 5.4.2).
AdvanceCommit(i, n) ==
    /\ role[i] = "leader"
    /\ n > commit[i]
    /\ mem[i].log[n] = mem[i].term
    /\ IsMajority(Holders(i, n))
    /\ commit' = [commit EXCEPT ![i] = n]
    /\ Tell(i, mem[i].log, n)
    /\ UNCHANGED <<role, mem, disk, outbox, network>>

-----------------------------------------------------------------------------

Next ==
    \E i \in Node :
        \/ (mem[i] # disk[i] \/ outbox[i] # {}) /\ Persist(i)
        \/ \E applied \in 0..commit[i] : Restart(i, applied)
        \/ \E term \in {m.term : m \in network} : LearnTerm(i, term)
        \/ Timeout(i)
        \/ \E m \in network : m.kind = "RequestVote" /\ Grant(i, m)
        \/ BecomeLeader(i)
        \/ Propose(i)
        \/ \E after \in {After(i, m) : m \in {m \in Appends(mem[i].term) : Fits(i, m)}} :
            Accept(i, after)
        \/ \E t \in Term, n \in 1..MaxLog : Install(i, t, n)
        \/ GiveUp(i)
        \/ \E n \in 1..Len(mem[i].log) : AdvanceCommit(i, n)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
(* What must hold: Figure 3 of the Raft paper, and our law. *)

\* At most one leader in each term, ever.
ElectionSafety ==
    \A t \in Term : Cardinality(said[t].by) <= 1

\* Where two logs agree about one entry, they agree about all before it.
Logs == {mem[i].log : i \in Node} \cup {disk[i].log : i \in Node} \cup {said[t].log : t \in Term}

LogMatching ==
    \A one, two \in Logs : \A n \in 1..Min(Len(one), Len(two)) :
        one[n] = two[n] => First(n, one) = First(n, two)

\* What one term decides, the leaders of all later terms have.
LeaderCompleteness ==
    \A early, late \in Term :
        early < late /\ said[late].by # {} =>
            IsPrefix(First(said[early].commit, said[early].log), said[late].log)

\* No two nodes know different entries to be decided at one index.
Decided(i) == First(commit[i], mem[i].log)

StateMachineSafety ==
    \A i, j \in Node : commit[i] <= commit[j] => IsPrefix(Decided(i), Decided(j))

InTurn(i) == outbox[i] # {} \/ (role[i] # "leader" /\ mem[i] # disk[i])

OneTurnAtATime == Cardinality({i \in Node : InTurn(i)}) <= 1

Symmetry == Permutations(Node)

\* Whoever leads has its term, and its vote for itself, on its disk.
LeadersAreDurable ==
    \A i \in Node : role[i] = "leader" => disk[i].term = mem[i].term /\ disk[i].vote = i

\* A leader never overwrites or removes entries of its own log.
LeaderAppendOnly ==
    [][\A i \in Node : role[i] = "leader" /\ role'[i] = "leader" =>
            IsPrefix(mem[i].log, mem'[i].log)]_vars

\* On disk, terms never go back, and a vote stands as long as its term.
DiskNeverGoesBack ==
    [][\A i \in Node :
            \/ disk[i].term < disk'[i].term
            \/ disk[i].term = disk'[i].term /\ disk[i].vote \in {Nobody, disk'[i].vote}]_vars

\* Persist, then speak: what a message promises is on its sender's disk.
Backed(m) ==
    LET on == disk[m.from] IN
    /\ on.term = m.term
    /\ m.kind = "RequestVote" => on.vote = m.from
    /\ m.kind = "Vote" => on.vote = m.to
    /\ m.kind = "Ack" => IsPrefix(First(m.index, said[m.term].log), on.log)

PersistThenSpeak ==
    [][\A m \in network' \ network : Backed(m)']_vars

=============================================================================
