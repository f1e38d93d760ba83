------------------------------ MODULE TraceRaft ------------------------------
(* Is a recorded run of the program a run of the model?

   Each line of `Trace` says what one node did, and how it stood afterwards. For every
   line the node takes the steps of Raft.tla that this means, and must then stand as the
   line says. What it heard must have been said. Each line that is explained is printed;
   the run is accepted if the last one is. *)

EXTENDS Raft

CONSTANT Trace

VARIABLES
    at,         \* the line under way
    stage       \* "hear", "act" or "follow up"

traceVars == <<role, mem, disk, commit, outbox, network, said, at, stage>>

Line == Trace[at]
Who == Line.node

TraceInit == Init /\ at = 1 /\ stage = "hear"

Then(next) == stage' = next /\ at' = at

\* First of all, the term of a message (Raft 5.1).
HearTerm ==
    /\ stage = "hear"
    /\ IF Line.action = "receive" /\ Line.message.term > mem[Who].term
       THEN LearnTerm(Who, Line.message.term)
       ELSE UNCHANGED vars
    /\ Then("act")

TakeRequestVote(m) ==
    /\ m \in network
    /\ IF MayGrant(Who, m) THEN Grant(Who, m) ELSE UNCHANGED vars

WasTold(m) ==
    /\ m.from \in said[m.term].by
    /\ m.prev + Len(m.entries) <= Len(said[m.term].log)
    /\ m.entries = SubSeq(said[m.term].log, m.prev + 1, m.prev + Len(m.entries))
    /\ m.prevTerm = TermAt(m.prev, said[m.term].log)
    /\ m.commit <= said[m.term].commit

TakeAppendEntries(m) ==
    /\ WasTold(m)
    /\ IF m.term # mem[Who].term THEN UNCHANGED vars
       ELSE IF Fits(Who, m) THEN Accept(Who, After(Who, m))
       ELSE IF role[Who] = "candidate" THEN GiveUp(Who)
       ELSE UNCHANGED vars

\* Replies change nothing by themselves: what they promise was said, and is looked up.
TakeReply(m) ==
    /\ m.kind = "Refusal" \/ m \in network
    /\ UNCHANGED vars

\* Pre-votes, and the word of a leader that hands over, make a node stand, or change nothing.
Encourage == IF Line.term > mem[Who].term THEN Timeout(Who) ELSE UNCHANGED vars

\* Who offers a snapshot leads.
TakeOffer(m) ==
    /\ m.from \in said[m.term].by
    /\ IF m.term = mem[Who].term /\ role[Who] = "candidate" THEN GiveUp(Who) ELSE UNCHANGED vars

\* Only a snapshot has a log begin behind what its node knew to be decided.
HasInstalled == Line.begins > commit[Who]

Receive ==
    LET m == Line.message IN
    CASE m.kind = "RequestVote"   -> TakeRequestVote(m)
      [] m.kind = "AppendEntries" -> TakeAppendEntries(m)
      [] m.kind = "MayStand"      -> Encourage
      [] m.kind = "Offer"         -> TakeOffer(m)
      [] OTHER                    -> TakeReply(m)

Act ==
    /\ stage = "act"
    /\ CASE Line.action = "receive" -> Receive /\ Then("follow up")
         [] Line.action = "persist" -> Persist(Who) /\ Then("follow up")
         [] Line.action = "tick" ->
                /\ IF HasInstalled THEN \E t \in Term : Install(Who, t, Line.begins)
                   ELSE IF Line.term > mem[Who].term THEN Timeout(Who)
                   ELSE IF Line.role = "follower" /\ role[Who] # "follower" THEN GiveUp(Who)
                   ELSE UNCHANGED vars
                /\ Then("follow up")
         [] Line.action = "propose" ->
                IF Len(mem[Who].log) < Len(Line.log)
                THEN Propose(Who) /\ Then("act")
                ELSE UNCHANGED vars /\ Then("follow up")
         \* The crash before it may have struck just before or just after the disk was done.
         [] Line.action = "start" ->
                \/ Restart(Who, Line.commit) /\ Then("follow up")
                \/ mem[Who] # disk[Who] /\ Persist(Who) /\ Then("act")

\* A log that begins behind a snapshot counts as held up to there, and nothing is said of it before
\* its disk has it, too.
WaitsForItsStart ==
    /\ Line.begins_durably < Line.begins
    /\ DurableIndex(Who) < Line.begins
    /\ Line.durable = Line.begins

Stands ==
    /\ role[Who] = Line.role
    /\ mem[Who] = [term |-> Line.term, vote |-> Line.vote, log |-> Line.log]
    /\ commit[Who] = Line.commit
    /\ DurableIndex(Who) = Line.durable \/ WaitsForItsStart

\* What a node concludes from votes and acknowledgements, and then the next line.
FollowUp ==
    /\ stage = "follow up"
    /\ IF Line.role = "leader" /\ role[Who] # "leader" THEN BecomeLeader(Who) /\ Then(stage)
       ELSE IF Line.commit > commit[Who] THEN AdvanceCommit(Who, Line.commit) /\ Then(stage)
       ELSE /\ Stands
            /\ PrintT(<<"explained", at>>)
            /\ at' = at + 1
            /\ stage' = "hear"
            /\ UNCHANGED vars

TraceNext == at <= Len(Trace) /\ (HearTerm \/ Act \/ FollowUp)

TraceSpec == TraceInit /\ [][TraceNext]_traceVars

=============================================================================
