//! Faults of messages.

/// A fault of a message, its sender or its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The request never arrives.
    LoseRequest,
    /// The request is carried out. Its reply never arrives.
    LoseReply,
    /// The request arrives after its sender has stopped waiting, and mostly asked again.
    DelayRequest,
    /// The reply arrives late. The asking process may have been restarted in the meantime.
    DelayReply,
    /// The request arrives twice. The first reply counts.
    Repeat,
    /// The request arrives again much later, after its reply.
    RepeatLate,
    /// From now on the two are cut off from each other, in both directions, for a while.
    Partition,
    /// The server is killed before it sees the request, and started again.
    KillBefore,
    /// The server loses power after it has carried out the request and before its reply is sent. It is started again.
    CrashAfter,
    /// The server loses power right after its reply was sent. It is started again, and the reply arrives.
    CrashReplied,
    /// The server's disk fails at its next sync. The server stops, loses power, and is started again. Of the unsynced
    /// write, a random part is on the disk.
    TornWrite,
    /// The server's disk is full during the request, and has room again afterwards.
    DiskFull,
    /// The sender dies before the request is sent. A server is started again; a wallet is left to the test.
    SenderDiesBefore,
    /// The sender dies after the request was carried out and before the reply arrives.
    SenderDiesAfter,
}

impl Fault {
    /// Every kind that leaves the sender alive.
    pub const LEAVING_THE_SENDER: [Fault; 12] = [
        Fault::LoseRequest,
        Fault::LoseReply,
        Fault::DelayRequest,
        Fault::DelayReply,
        Fault::Repeat,
        Fault::RepeatLate,
        Fault::Partition,
        Fault::KillBefore,
        Fault::CrashAfter,
        Fault::CrashReplied,
        Fault::TornWrite,
        Fault::DiskFull,
    ];

    /// Every kind.
    pub const ALL: [Fault; 14] = [
        Fault::LoseRequest,
        Fault::LoseReply,
        Fault::DelayRequest,
        Fault::DelayReply,
        Fault::Repeat,
        Fault::RepeatLate,
        Fault::Partition,
        Fault::KillBefore,
        Fault::CrashAfter,
        Fault::CrashReplied,
        Fault::TornWrite,
        Fault::DiskFull,
        Fault::SenderDiesBefore,
        Fault::SenderDiesAfter,
    ];

    /// Its name in a trace.
    pub const fn what(self) -> &'static str {
        match self {
            Fault::LoseRequest => "the request is lost",
            Fault::LoseReply => "the reply is lost",
            Fault::DelayRequest => "the request is late",
            Fault::DelayReply => "the reply is late",
            Fault::Repeat => "the request arrives twice",
            Fault::RepeatLate => "the request arrives again much later",
            Fault::Partition => "the two are cut off from each other",
            Fault::KillBefore => "the server is killed before it sees it",
            Fault::CrashAfter => "the server loses power before it replies",
            Fault::CrashReplied => "the server loses power after it has replied",
            Fault::TornWrite => "the server's disk fails at its next sync",
            Fault::DiskFull => "the server's disk is full",
            Fault::SenderDiesBefore => "its sender dies before it is sent",
            Fault::SenderDiesAfter => "its sender dies before the reply is there",
        }
    }
}
