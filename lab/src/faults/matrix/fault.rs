//! What can go wrong, at a message and at a write.

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The request is lost on its way.
    RequestLost,
    /// The answer is lost on its way, so the same is asked again.
    ReplyLost,
    /// The request is looked at only after it was asked again and answered.
    Late,
    /// A third of the datagrams are lost, some are repeated and some overtaken, from the request on.
    Lossy,
    /// From the request on nothing gets to the server, for a while.
    DeadThere,
    /// From the request on nothing comes back from the server, for a while.
    DeadBack,
    /// Whoever asks is killed before the request is sent.
    AskerKilled,
    /// The server is killed when the request arrives.
    ServerKilled,
    /// The server is killed when all is durable, and the answer is not sent.
    ServerKilledAnswering,
    /// Whoever asks is killed when the answer arrives, and asks the same again.
    AskerKilledAnswered,
    /// The server is frozen when the request arrives, for longer than the wallet waits.
    ServerFrozen,
    /// Whoever asks is frozen while the answer is on its way.
    AskerFrozen,
    /// The writer is killed when nothing of the record is written.
    KilledBefore,
    /// The writer is killed when the record is written, and not synced.
    KilledUnsynced,
    /// The writer is killed when the record is durable, and nobody knows.
    KilledSynced,
    /// The writer is killed when the record is in the index too, and nobody was told.
    KilledIndexed,
    /// The writer is frozen in the middle of the write.
    Frozen,
    /// The writer's disk is full, for a while.
    DiskFull,
}

impl Fault {
    /// What can befall a message.
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

    /// What can befall a write.
    pub const ON_WRITES: [Fault; 6] = [
        Fault::KilledBefore,
        Fault::KilledUnsynced,
        Fault::KilledSynced,
        Fault::KilledIndexed,
        Fault::Frozen,
        Fault::DiskFull,
    ];

    /// What stands at the head of its column.
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

    /// What happens, in a sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Fault::RequestLost => "The request is lost on its way, until whoever asked gives it up.",
            Fault::ReplyLost => {
                "The server has acted, and its answer is lost until whoever asked gives it up; the same is asked again."
            }
            Fault::Late => {
                "The request is kept back, and looked at only after it was asked again and answered, or all is over."
            }
            Fault::Lossy => {
                "From the request on, 30 % of the datagrams on that line are lost, 10 % arrive twice and 20 % late."
            }
            Fault::DeadThere => "From the request on nothing reaches the server on that line, for a while.",
            Fault::DeadBack => "From the request on nothing comes back on that line, for a while.",
            Fault::AskerKilled => "Whoever asks gets SIGKILL just before the request is sent.",
            Fault::ServerKilled => "The server gets SIGKILL when the request has arrived.",
            Fault::ServerKilledAnswering => {
                "The server gets SIGKILL when what it answers is durable, and the answer is not sent."
            }
            Fault::AskerKilledAnswered => {
                "Whoever asked gets SIGKILL when the answer has arrived; nothing of it was written down."
            }
            Fault::ServerFrozen => {
                "The server gets SIGSTOP when the request has arrived, and SIGCONT when the wallet waits no longer."
            }
            Fault::AskerFrozen => {
                "Whoever asked gets SIGSTOP while the answer is on its way, and SIGCONT later."
            }
            Fault::KilledBefore => "The writer gets SIGKILL when nothing of the record is written.",
            Fault::KilledUnsynced => "The writer gets SIGKILL when the record is written and not synced.",
            Fault::KilledSynced => {
                "The writer gets SIGKILL when the record is durable, and neither the index nor anybody else knows of it."
            }
            Fault::KilledIndexed => {
                "The writer gets SIGKILL when the record is durable and in the index, and nobody was told."
            }
            Fault::Frozen => "The writer gets SIGSTOP between write and sync, and SIGCONT later.",
            Fault::DiskFull => "There is no room on the writer's disk, for a while.",
        }
    }

    /// Whether it takes a disk that can be filled.
    #[must_use]
    pub const fn needs_disk(self) -> bool {
        matches!(self, Fault::DiskFull)
    }
}
