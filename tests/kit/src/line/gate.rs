//! What a direction of a line lets through.

/// The bit of a packet's first byte that marks QUIC's long headers. Only handshakes, and data that is sent before
/// them, have long headers (RFC 9000, section 17).
const LONG_HEADER: u8 = 0x80;

/// The bits of a long header's first byte that tell the packet's type.
const TYPE: u8 = 0x30;

const INITIAL: u8 = 0x00;
const EARLY_DATA: u8 = 0x10;
const RETRY: u8 = 0x30;

/// The datagrams that a direction lets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gate {
    /// All datagrams.
    #[default]
    Pass,
    /// Only QUIC's handshakes: connections open, but no reply arrives on them. This is the only way to be sure that a
    /// request arrives and its reply does not.
    Handshakes,
    /// No datagrams.
    Drop,
}

impl Gate {
    /// The part of the datagram that passes, from its start. `None` when the datagram is lost.
    pub(super) fn part_of(self, datagram: &[u8]) -> Option<&[u8]> {
        match self {
            Gate::Pass => Some(datagram),
            Gate::Handshakes => Some(handshakes_of(datagram)).filter(|part| !part.is_empty()),
            Gate::Drop => None,
        }
    }
}

/// The handshake packets at the start of a datagram. A slow sender puts the end of its handshake and its first data
/// into one datagram, the data last (RFC 9000, section 12.2).
fn handshakes_of(datagram: &[u8]) -> &[u8] {
    let mut rest = datagram;
    while let Some(after) = after_handshake(rest) {
        rest = after;
    }
    let length = datagram.len().saturating_sub(rest.len());
    datagram.get(..length).unwrap_or_default()
}

/// What follows the handshake packet at the start of `datagram`. `None` when it starts with no such packet.
fn after_handshake(datagram: &[u8]) -> Option<&[u8]> {
    let (first, rest) = datagram.split_first()?;
    let kind = first & TYPE;
    if first & LONG_HEADER == 0 || kind == EARLY_DATA {
        return None;
    }
    let (version, rest) = rest.split_at_checked(4)?;
    // Both fill the rest of their datagram.
    if version == [0; 4] || kind == RETRY {
        return Some(&[]);
    }
    let rest = after_field(rest, |ids| Some((usize::from(*ids.first()?), ids.get(1..)?)))?;
    let rest = after_field(rest, |ids| Some((usize::from(*ids.first()?), ids.get(1..)?)))?;
    let rest = match kind {
        INITIAL => after_field(rest, variable_length)?,
        _ => rest,
    };
    after_field(rest, variable_length)
}

/// What follows a field whose length stands before it.
fn after_field(bytes: &[u8], length: impl Fn(&[u8]) -> Option<(usize, &[u8])>) -> Option<&[u8]> {
    let (length, rest) = length(bytes)?;
    rest.get(length..)
}

/// A number in QUIC's encoding of one to eight bytes (RFC 9000, section 16), and what follows it.
fn variable_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let first = bytes.first()?;
    let (number, rest) = bytes.split_at_checked(1 << (first >> 6))?;
    let number = number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    // The first two bits are the length.
    let bits = u64::MAX >> (66 - (8_u32 << (first >> 6)));
    Some((usize::try_from(number & bits).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A long header of this type, with ids of eight bytes and no token, before `payload`.
    fn long(kind: u8, payload: &[u8]) -> Vec<u8> {
        let ids = [&[8][..], &[7; 8], &[8], &[9; 8]].concat();
        let token: &[u8] = if kind == INITIAL { &[0] } else { &[] };
        let length = u16::try_from(payload.len()).unwrap() | 0x4000;
        let first = [LONG_HEADER | 0x40 | kind];
        [
            &first,
            &[0, 0, 0, 1][..],
            &ids,
            token,
            &length.to_be_bytes(),
            payload,
        ]
        .concat()
    }

    #[test]
    fn numbers_have_one_to_eight_bytes() {
        // The examples of RFC 9000, appendix A.1.
        let examples: [(&[u8], usize); 4] = [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ];
        for (bytes, number) in examples {
            assert_eq!(variable_length(bytes), Some((number, &[][..])));
        }
    }

    #[test]
    fn data_behind_a_handshake_is_cut_off() {
        const HANDSHAKE: u8 = 0x20;
        let data = [0x40; 60];
        let both = [long(INITIAL, &[1; 70]), long(HANDSHAKE, &[2; 200])].concat();
        for handshakes in [long(INITIAL, &[1; 1200]), long(HANDSHAKE, &[2; 20]), both] {
            let datagram = [handshakes.as_slice(), &data].concat();
            assert_eq!(Gate::Handshakes.part_of(&handshakes), Some(&handshakes[..]));
            assert_eq!(Gate::Handshakes.part_of(&datagram), Some(&handshakes[..]));
            assert_eq!(Gate::Pass.part_of(&datagram), Some(&datagram[..]));
        }
        for lost in [&data[..], &long(EARLY_DATA, &data), &[], &[LONG_HEADER, 0]] {
            assert_eq!(Gate::Handshakes.part_of(lost), None);
        }
        let retry = long(RETRY, &[3; 40]);
        assert_eq!(Gate::Handshakes.part_of(&retry), Some(&retry[..]));
    }
}
