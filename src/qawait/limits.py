"""Every limit and default in one place, each with its reason. Times are in seconds."""

from __future__ import annotations

from typing import Final

# --- one call to the service -------------------------------------------------------------------

CONNECT_SECONDS: Final = 5.0
"""A connection that takes longer is a black hole; what was not sent can be repeated."""
CALL_SECONDS: Final = 15.0
"""Total time for a small call (status, cancel, token): a slow-dripping answer must not hold it."""
SUBMIT_SECONDS: Final = 120.0
"""Total time for a submit: up to 50 MB of circuits over a slow uplink."""
FETCH_SECONDS: Final = 300.0
"""Total time for a result: hundreds of megabytes over a slow downlink."""

SMALL_BODY_BYTES: Final = 4 * 2**20
"""The largest answer to a small call; 200 job records are about 0.1 MB."""
BACKEND_BODY_BYTES: Final = 32 * 2**20
"""The largest backend description; a 156-qubit one has 0.6 MB of properties."""
RESULT_BODY_BYTES: Final = 2**30
"""The largest result as transferred and as decompressed."""
SUBMIT_BODY_BYTES: Final = 50 * 2**20
"""The largest job input the service documents."""
ERROR_EXCERPT_BYTES: Final = 256
"""How much of an unexpected answer an error quotes."""
ERROR_MESSAGE_BYTES: Final = 2048
"""How much of the service's own error message an error quotes."""
GZIP_RATIO: Final = 200
"""How many times its size a compressed answer may unpack to; gzip reaches 1032 only in bombs."""
GZIP_RATIO_FREE_BYTES: Final = 8 * 2**20
"""Unpacked bytes up to which the ratio is not looked at: one million equal samples are 6 MB."""
JSON_DEPTH: Final = 100
"""How deep a JSON answer may nest; the deepest documented one nests 12."""
REQUESTS_IN_FLIGHT: Final = 32
"""Concurrent requests of one client, one urgent one besides; each has a connection."""
BULK_IN_FLIGHT: Final = 12
"""How many of these may be submits and results: a cancel never queues behind a download."""
KEEPALIVE_SECONDS: Final = 120.0
"""How long an idle connection is kept: above the longest polling interval."""
WARM_SECONDS: Final = 20.0
"""How long the connection kept for cancels may idle before a poll uses it; servers close at 60."""
HEAD_BYTES: Final = 64 * 2**10
"""The largest head of an answer; the service's has about 1 KB."""
PROVISIONAL_ANSWERS: Final = 16
"""How many provisional answers (1xx) may precede the answer; one is usual."""
CHUNK_LINE_BYTES: Final = 1024
"""The longest line between the chunks of an answer; one without extensions has 16 bytes at most."""
RECEIVE_BYTES: Final = 256 * 2**10
"""How much is read from a connection at once: all that asyncio can have at hand."""
SEND_BYTES: Final = 64 * 2**10
"""How much is sent at once; for a larger request an answer that comes early is looked out for."""

# --- credentials -------------------------------------------------------------------------------

TOKEN_REFRESH_FRACTION: Final = 0.8
"""The share of a token's life after which a new one is fetched."""
TOKEN_GRACE_SECONDS: Final = 10.0
"""How long before its expiry a token is no longer sent."""
TOKEN_RETRY_SECONDS: Final = 5.0
"""The pause between two tries to renew a token that is still valid or was refused right away."""
ACCOUNT_FILE_BYTES: Final = 2**20
"""The largest file of saved accounts; a real one has a few hundred bytes for each."""

# --- what the service takes --------------------------------------------------------------------

TAGS_PER_JOB: Final = 8
"""Tags the service accepts on one job (error 1204)."""
TAG_CHARACTERS: Final = 86
"""Characters the service accepts in one tag (error 1205)."""
OWN_TAGS: Final = 2
"""Tags of a job that qawait uses itself: one names the submit, one the client."""
MAX_EXECUTION_SECONDS: Final = 10_800
"""The longest execution time the service accepts."""
DEFAULT_EXECUTION_SECONDS: Final = 3_600
"""The `max_execution_time` of a job that names none: the last guard against one that runs on."""
LIST_PAGE: Final = 200
"""Jobs in one page of a listing, the most the service gives."""
SURVEY_WINDOW: Final = 190
"""Known jobs in one window of a survey: a page, with room for a few that came meanwhile."""
SNAPSHOTS_REMEMBERED: Final = 40_000
"""Jobs of which it is kept what a list last said, so that most records need not be read (4 MiB)."""
ENDED_REMEMBERED: Final = 20_000
"""Ended jobs whose time of creation is kept, to know how many pages a list of them has (1 MiB)."""
CONFIRMED_PER_PAGE: Final = 4
"""How many missing jobs make one page of ended ones cheaper than asking for each by itself."""
POLLS_IN_FLIGHT: Final = 8
"""Polling requests under way at a time: half of what the transport carries."""

BACKEND_SECONDS: Final = 3600.0
"""How long a backend's description is used before it is asked for again."""
BACKEND_STATUS_SECONDS: Final = 60.0
"""How long its status and queue length are; a job sent after a pause began only waits."""
BACKENDS_IN_FLIGHT: Final = 4
"""Backends that are described at a time: each takes 0.7 MB."""

# --- retrying ----------------------------------------------------------------------------------

RETRY_ATTEMPTS: Final = 3
"""Tries of one call, the first included (AWS's standard mode)."""
RETRY_BASE_SECONDS: Final = 0.5
"""The first retry waits up to this long; each further one up to twice the last."""
RETRY_CAP_SECONDS: Final = 20.0
"""The longest wait between two tries of one call."""
RETRY_TOKENS: Final = 500
"""A client's budget of retries: a retry costs 5, after a time-out 10 (AWS's standard mode)."""
RETRY_COST: Final = 5
RETRY_TIMEOUT_COST: Final = 10
RETRY_AFTER_CAP_SECONDS: Final = 120.0
"""The longest `Retry-After` that is honoured."""

SUBMITS_PER_MINUTE: Final = 5
"""The submits per minute that the service documents: the least that is learnt from a refusal."""
PACE_MEMORY_SECONDS: Final = 600.0
"""How long a limit that was learnt is kept to after somebody last had to wait because of it."""
THROTTLED_PAUSE_SECONDS: Final = 12.0
"""The pause after a 429 that names none: the service takes five submits a minute."""
THROTTLED_SECONDS: Final = 600.0
"""How long a submit waits before it gives up, counted from the last one that got through."""

# --- money and time ----------------------------------------------------------------------------

BUDGET_ESTIMATE_SECONDS: Final = 10.0
"""How long a submit under a budget waits to be told what the jobs before it will cost."""
USAGE_SECONDS: Final = 600.0
"""How long an ended job's charge is asked for; when it is settled is not documented."""
USAGE_CAP_SECONDS: Final = 60.0
"""The longest pause between two such questions."""
QUEUE_AGE_SECONDS: Final = 60.0
"""How long the length of a backend's queue is used, and the pause between two questions for it."""

# --- the life of a job -------------------------------------------------------------------------

LOOKUP_TRIES: Final = 2
"""How often a lost submit is looked up by its tag before it counts as absent."""
LOOKUP_SPACING_SECONDS: Final = 2.0
"""The pause between two look-ups: a listing may lag behind the submit."""
LOOKUP_SECONDS: Final = 60.0
"""How long a look-up is tried while the service does not answer."""
RESUBMITS: Final = 1
"""How often a submit that is certainly absent is sent again."""
CANCEL_BOUND_SECONDS: Final = 10.0
"""How long a cancelled caller waits to learn what became of the remote job."""
LEAVE_SECONDS: Final = 10.0
"""How long closing all that a client holds may take when it is left."""
CUT_SECONDS: Final = 0.05
"""How long it may take when the loop itself is being ended, as by a second Ctrl-C."""
CANCEL_SENDS: Final = 10
"""Cancel requests for one job, each after a query that still showed it live."""
SESSION_ENDS: Final = 10
"""Requests to end one session, each after one that certainly had no effect."""
UNKNOWN_STATUS_SECONDS: Final = 60.0
"""How long an undocumented status is watched before the wait ends with an error."""
EMPTY_RESULT_SECONDS: Final = 10.0
"""How long an empty result of a job that is DONE is asked for again."""

# --- the watchdog ------------------------------------------------------------------------------

WATCH_SECONDS: Final = 1.0
"""How often the watchdog looks after every job."""
DRIVE_SECONDS: Final = 1_200.0
"""How long a task may be at work for a job without a change; more than all its limits together."""
RESTART_SECONDS: Final = 1.0
"""The pause before a task of the client that failed is started again."""
BLOCKED_SECONDS: Final = 1.0
"""How long user code may block the loop before a log says so."""
CLOCK_JUMP_SECONDS: Final = 10.0
"""How far the wall clock may part from the loop's before the machine is taken to have slept."""
REFRESH_SECONDS: Final = 2.0
"""The time over which the jobs are asked for again after such a sleep."""
RELAUNCH_SECONDS: Final = 0.1
"""The pause after a guardian could not be started anew; twice as long each time."""
RELAUNCH_CAP_SECONDS: Final = 10.0
"""The longest such pause."""

# --- the journal -------------------------------------------------------------------------------

JOURNAL_BUSY_SECONDS: Final = 2.0
"""How long a write waits for another program's."""
JOURNAL_KEEP_UP_SECONDS: Final = 2.0
"""How long a submit waits for its intent to be on disk, and closing for the last rows."""
JOURNAL_IDLE_SECONDS: Final = 1.0
"""How often the writing thread looks whether the event loop is still there."""
JOURNAL_KEEP_SECONDS: Final = 7 * 86_400.0
"""How long the row of a job that has ended is kept."""

# --- polling -----------------------------------------------------------------------------------

POLL_LATENESS_SECONDS: Final = 0.25
"""The lateness that the numbers below are for: that of IBM's own client."""
POLL_FIRST_SECONDS: Final = 0.75
"""The first pause after a submit, and the shortest while a job is queued."""
POLL_FACTOR: Final = 2.0
"""How much longer each further pause is while the status stays."""
POLL_QUEUED_SHARE: Final = 0.6
"""A queued job's longest pause as a share of its running time, which it must not sleep through."""
POLL_QUEUED_UNKNOWN_SECONDS: Final = 5.0
"""A queued job's longest pause when nobody knows how long it will run."""
POLL_QUEUED_CAP_SECONDS: Final = 15.0
"""The longest pause while a job is queued."""
POLL_RUNNING_FIRST_SECONDS: Final = 0.5
"""The shortest pause while a job runs."""
POLL_RUNNING_SHARE: Final = 0.04
"""A running job's pause as a share of the time it has been running."""
POLL_RUNNING_LEAD: Final = 0.5
"""The share of its estimate for which a job that was seen to start is left alone."""
POLL_RUNNING_CAP_SECONDS: Final = 5.0
"""The longest pause while a job runs."""
POLL_JITTER: Final = 0.12
"""Pauses vary by this share to either side, so that many jobs do not poll in step."""

# --- circuits and results ----------------------------------------------------------------------

DEFAULT_PROGRAM: Final = "legacy"
"""How primitives run unless told: what `SamplerV2` of qiskit-ibm-runtime 0.51 means too."""
QPY_NEWEST_SENT: Final = 17
"""The newest QPY version that the programs `sampler` and `estimator` read."""
QPY_OLDEST_READ: Final = 13
"""The oldest QPY version that is read: loading older ones could execute code (CVE-2025-2000)."""
CIRCUIT_BITS: Final = 1_000_000
"""Qubits and classical bits in a circuit that is read; its few header bytes could claim 4e9."""
INLINE_BYTES: Final = 64 * 2**10
"""Data up to this size is encoded and decoded on the event loop (0.3 ms), more in a thread."""
INLINE_INSTRUCTIONS: Final = 500
"""Circuits up to this size are checked and encoded on the event loop (about 1 ms)."""
STREAM_CHUNK_BYTES: Final = 64 * 2**10
"""How much of a result is decoded at once on the event loop (0.3 ms)."""
STREAM_STEP_BYTES: Final = 256 * 2**10
"""How much text or data one step of decoding may go through, however far the text expands."""
STREAM_TEXT_BYTES: Final = 4 * 2**10
"""Arrays with less text are decoded at the end, all together; 400 shots of 50 bits take it."""
INLINE_DUMP_INSTRUCTIONS: Final = 2_000
"""Circuits up to this size are encoded on the event loop (3 ms), whose lock a thread would hold."""
RESULT_CACHE_BYTES: Final = 256 * 2**20
"""Decoded results that a client keeps in memory though nobody holds them: 20 of 1 M x 100 bits."""
SPOOL_PAGE_BYTES: Final = 2**20
"""How much of a result is written to disk at once (0.3 ms, in a thread)."""
EXPANSION_FREE_BYTES: Final = 256 * 2**20
"""What a result may decompress to however small it is: 10 million shots without noise."""
EXPANSION_RATIO: Final = 200
"""Beyond that, decompressed bytes per byte transferred; noisy shots reach 2, smooth arrays 20."""

# --- the guardian ------------------------------------------------------------------------------

GUARDIAN_SECONDS: Final = 60.0
"""How long a guardian tries to settle what its parent left live when it died."""
GUARDIAN_START_SECONDS: Final = 10.0
"""How long a new guardian may take until it listens; it takes 20 ms on an idle machine."""
GUARDIAN_FLUSH_SECONDS: Final = 5.0
"""How long a guardian may take nothing out of its pipe before it is replaced."""
GUARDIAN_CLOSE_SECONDS: Final = 1.0
"""How long closing waits for a guardian to end; one that settles jobs goes on without us."""
GUARDIAN_REAP_SECONDS: Final = 0.002
"""The pause between two looks whether a process whose pipe has ended has ended too."""
GUARDIAN_PIPE_BYTES: Final = 2**20
"""The size asked for the pipe, the most Linux gives without privilege: 10,000 messages."""
GUARDIAN_WRITE_BYTES: Final = 64 * 2**10
"""How much is written into the pipe at once."""
GUARDIAN_BACKLOG_BYTES: Final = 4 * 2**20
"""How much may wait for the pipe before the guardian counts as hung and is replaced."""

# --- adapters ----------------------------------------------------------------------------------

EVENT_LOOK_SECONDS: Final = 0.02
"""How often a `threading.Event`, which cannot wake a loop, is looked at while a call waits."""
ADAPTER_JOBS_KEPT: Final = 64
"""How many ended jobs an adapter still knows the circuits of; a program asks once for each."""

# --- panels and the command line ---------------------------------------------------------------

PANEL_PAINT_SECONDS: Final = 0.1
"""The shortest pause between two pictures of a panel: more often, nobody sees a difference."""
PANEL_CLOSE_SECONDS: Final = 1.0
"""How long leaving a panel waits for a terminal that takes nothing."""
PANEL_OUTLINE_SECONDS: Final = 10.0
"""How long an awaited panel waits for the outline of the result, once its job has ended."""
PANEL_ROWS: Final = 40
"""The jobs in a notebook's table; a terminal's has as many as fit."""
OUTLINE_BARS: Final = 8
"""The outcomes or values that an outline shows."""
OUTLINE_SHOTS: Final = 100_000
"""The shots that an outline counts: some 10 ms, in a thread."""
CLOCK_SKEW_SECONDS: Final = 60.0
"""How far the clock may be from the service's: tokens and certificates allow for a minute."""

# --- the gateway (what its users may change is in gateway/settings.py) --------------------------

GATEWAY_ANSWER_SECONDS: Final = 0.025
"""How long accepting a job waits for its circuit to be read, so that a wrong one is refused."""
GATEWAY_BODY_SECONDS: Final = 30.0
"""How long a request may take to arrive."""
GATEWAY_EVENTS_PER_JOB: Final = 64
"""Changes of one job that are kept; a usual one has eight."""
GATEWAY_EVENTS: Final = 4_096
"""Changes of all jobs that a reader who was away can be told of."""
GATEWAY_HEARTBEAT_SECONDS: Final = 15.0
"""How often a quiet stream says that it is there; proxies close those silent for 30 to 60."""
GATEWAY_QUEUED_SECONDS: Final = 5
"""The `Retry-After` of a queued job, and the longest of a running one."""
GATEWAY_AGE_SHARE: Final = 0.5
"""The `Retry-After` of a job that waits for its submit, as a share of its age."""
GATEWAY_RETRY_SECONDS: Final = 1.0
"""The first pause before something that failed for now is tried again; it doubles."""
GATEWAY_RETRY_CAP_SECONDS: Final = 60.0
"""The longest such pause."""
GATEWAY_RETRIES: Final = 1_440
"""How often it is tried again: for a day."""
GATEWAY_SWEEP_SECONDS: Final = 60.0
"""How often what has expired is removed from the disk."""
GATEWAY_INLINE_BYTES: Final = 32 * 2**10
"""Results up to this size are kept in the database; larger ones are files."""
GATEWAY_BATCH: Final = 256
"""The most changes in one commit to the gateway's database."""
GATEWAY_PAGE: Final = 100
"""The most jobs in one answer of a listing."""
GATEWAY_NAME_CHARACTERS: Final = 120
"""The longest name of a job or a backend."""
GATEWAY_BACKENDS_SECONDS: Final = 15.0
"""How long a list of backends is given again before the service is asked anew."""
GATEWAY_STOP_SECONDS: Final = 5
"""How long a server that is to end waits for requests under way."""
GATEWAY_KEEPALIVE_SECONDS: Final = 30
"""How long a server keeps an idle connection: longer than any `Retry-After` that it gives."""
GATEWAY_DRAWING_BYTES: Final = 256 * 2**10
"""The largest drawing of a circuit."""
GATEWAY_DRAWING_INSTRUCTIONS: Final = 2_000
"""The longest circuit that is drawn; nobody looks at a longer one."""
GATEWAY_REASON_CHARACTERS: Final = 4_000
"""How much of the reason why a job failed is kept: usually a traceback."""
READER_MEMORY_BYTES: Final = 2**30
"""What reading and transpiling a circuit may take beside what the process has at its start."""
READER_CIRCUITS: Final = 2_000
"""Circuits after which a reading process is replaced, so that it cannot grow for ever."""
READER_START_SECONDS: Final = 60.0
"""How long a reading process may take until it is ready; it imports qiskit (1 s when idle)."""
READER_ANSWER_BYTES: Final = 64 * 2**20
"""The largest answer of a reading process: a job's input as the service takes it."""
