//! What can become of a message.

/// What becomes of a message, and of those who send and get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The request never arrives.
    LoseRequest,
    /// The request is acted on; its reply never arrives.
    LoseReply,
    /// The request arrives when its sender has long given up waiting, and mostly asked again.
    DelayRequest,
    /// The reply does. Its sender may have been restarted meanwhile.
    DelayReply,
    /// The request arrives twice; the first reply counts.
    Repeat,
    /// The request arrives again much later, after its reply.
    RepeatLate,
    /// From now on nothing gets through between the two, either way, for a while.
    Partition,
    /// The server is killed before it sees the request, and started again.
    KillBefore,
    /// The server loses power after it has acted and before its reply is sent, and is started again.
    CrashAfter,
    /// The server loses power right after its reply was sent, and is started again; the reply arrives.
    CrashReplied,
    /// The server's disk fails at its next sync: it stops, loses power, and is started again with whatever of
    /// the unsynced write happened to reach the platter.
    TornWrite,
    /// The server's disk is full while it acts, and has room again afterwards.
    DiskFull,
    /// Whoever sends it dies before it is sent. A server is started again; a wallet is left to the test.
    SenderDiesBefore,
    /// Whoever sends it dies after it was acted on and before its reply is there.
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

    /// What a trace says of it.
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
