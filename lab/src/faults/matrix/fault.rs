//! The faults at a message and at a write.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The request is lost.
    RequestLost,
    /// The answer is lost, so the same question is asked again.
    ReplyLost,
    /// The request is processed only after the same question was asked again and answered.
    Late,
    /// A third of the datagrams are lost, some are repeated and some overtaken, from the request on.
    Lossy,
    /// From the request on, nothing reaches the server for some time.
    DeadThere,
    /// From the request on, nothing comes back from the server for some time.
    DeadBack,
    /// The asker is killed before the request is sent.
    AskerKilled,
    /// The server is killed when the request arrives.
    ServerKilled,
    /// The server is killed when its write is durable and the answer is not sent.
    ServerKilledAnswering,
    /// The asker is killed when the answer arrives, and asks the same again.
    AskerKilledAnswered,
    /// The server is frozen when the request arrives, for longer than the wallet waits.
    ServerFrozen,
    /// The asker is frozen while the answer is on its way.
    AskerFrozen,
    /// The writer is killed when nothing of the record is written.
    KilledBefore,
    /// The writer is killed when the record is written, and not synced.
    KilledUnsynced,
    /// The writer is killed when the record is durable, before the index has it.
    KilledSynced,
    /// The writer is killed when the record is in the index too, before the reply.
    KilledIndexed,
    /// The writer is frozen in the middle of the write.
    Frozen,
    /// The writer's disk is full for some time.
    DiskFull,
}

impl Fault {
    /// The faults at a message.
    pub const ON_MESSAGES: [Fault; 12] = [
        Fault::RequestLost,
        Fault::ReplyLost,
        Fault::Late,
        Fault::Lossy,
        Fault::DeadThere,
        Fault::DeadBack,
        Fault::AskerKilled,
        Fault::ServerKilled,
        Fault::ServerKilledAnswering,
        Fault::AskerKilledAnswered,
        Fault::ServerFrozen,
        Fault::AskerFrozen,
    ];

    /// The faults at a write.
    pub const ON_WRITES: [Fault; 6] = [
        Fault::KilledBefore,
        Fault::KilledUnsynced,
        Fault::KilledSynced,
        Fault::KilledIndexed,
        Fault::Frozen,
        Fault::DiskFull,
    ];

    /// The heading of the fault's column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Fault::RequestLost => "request lost",
            Fault::ReplyLost => "answer lost",
            Fault::Late => "request late",
            Fault::Lossy => "lossy line",
            Fault::DeadThere => "line dead there",
            Fault::DeadBack => "line dead back",
            Fault::AskerKilled => "asker killed, asking",
            Fault::ServerKilled => "server killed, asked",
            Fault::ServerKilledAnswering => "server killed, answering",
            Fault::AskerKilledAnswered => "asker killed, answered",
            Fault::ServerFrozen => "server frozen",
            Fault::AskerFrozen => "asker frozen",
            Fault::KilledBefore => "killed before it",
            Fault::KilledUnsynced => "killed before the sync",
            Fault::KilledSynced => "killed after the sync",
            Fault::KilledIndexed => "killed before the reply",
            Fault::Frozen => "frozen",
            Fault::DiskFull => "disk full",
        }
    }

    /// A sentence about the fault.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Fault::RequestLost => "The request is lost until the asker gives it up.",
            Fault::ReplyLost => {
                "The server has acted, and its answer is lost until the asker gives up; the same question is asked again."
            }
            Fault::Late => {
                "The request is processed only after the same question was asked again and answered, or at the end."
            }
            Fault::Lossy => {
                "From the request on, 30 % of the datagrams on that line are lost, 10 % arrive twice and 20 % late."
            }
            Fault::DeadThere => "From the request on, nothing reaches the server on that line for some time.",
            Fault::DeadBack => "From the request on, nothing comes back on that line for some time.",
            Fault::AskerKilled => "The asker gets SIGKILL just before the request is sent.",
            Fault::ServerKilled => "The server gets SIGKILL when the request has arrived.",
            Fault::ServerKilledAnswering => {
                "The server gets SIGKILL when its write is durable and the answer is not sent."
            }
            Fault::AskerKilledAnswered => {
                "The asker gets SIGKILL when the answer has arrived and nothing of it is stored."
            }
            Fault::ServerFrozen => {
                "The server gets SIGSTOP when the request has arrived, and SIGCONT after the wallet has given up."
            }
            Fault::AskerFrozen => "The asker gets SIGSTOP while the answer is on its way, and SIGCONT later.",
            Fault::KilledBefore => "The writer gets SIGKILL when nothing of the record is written.",
            Fault::KilledUnsynced => "The writer gets SIGKILL when the record is written and not synced.",
            Fault::KilledSynced => {
                "The writer gets SIGKILL when the record is durable, before the index has it."
            }
            Fault::KilledIndexed => {
                "The writer gets SIGKILL when the record is durable and in the index, before the reply."
            }
            Fault::Frozen => "The writer gets SIGSTOP between write and sync, and SIGCONT later.",
            Fault::DiskFull => "The writer's disk is full for some time.",
        }
    }

    /// Whether the fault needs a disk that can be filled.
    #[must_use]
    pub const fn needs_disk(self) -> bool {
        matches!(self, Fault::DiskFull)
    }
}
