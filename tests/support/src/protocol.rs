//! Where PostgreSQL's messages end in a stream of bytes.
//!
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

/// The codes that stand where a start-up message has its version, for what is answered with a single byte.
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// Follows one direction of one connection.
#[derive(Debug)]
pub(crate) struct Framer {
    /// The first bytes of a message whose length is not known yet.
    head: Vec<u8>,
    /// What of the current message is still to come, once its length is known.
    rest: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A client's first message: a length, no type.
    Startup,
    /// A type and a length.
    Typed,
    /// The answer to a request for encryption.
    OneByte,
}

impl Framer {
    pub(crate) fn from_client() -> Self {
        Self { head: Vec::new(), rest: 0, kind: Kind::Startup }
    }

    pub(crate) fn from_server() -> Self {
        Self { head: Vec::new(), rest: 0, kind: Kind::Typed }
    }

    /// The client has asked for encryption: the server's next message is a single byte.
    pub(crate) fn expect_one_byte(&mut self) {
        self.kind = Kind::OneByte;
    }

    /// How many of these bytes end the current message, if they do; and whether it asked for encryption.
    pub(crate) fn end_of_message(&mut self, bytes: &[u8]) -> Option<(usize, bool)> {
        let mut taken = 0;
        let mut encryption = false;
        while self.rest == 0 {
            let head = match self.kind {
                Kind::Startup => 8,
                Kind::Typed => 5,
                Kind::OneByte => 1,
            };
            if self.head.len() == head {
                (self.rest, encryption) = self.length();
                self.head.clear();
                if self.rest == 0 {
                    self.next(encryption);
                    return Some((taken, encryption));
                }
                break;
            }
            self.head.push(*bytes.get(taken)?);
            taken += 1;
        }
        let body = self.rest.min(bytes.len() - taken);
        self.rest -= body;
        taken += body;
        if self.rest > 0 {
            return None;
        }
        self.next(false);
        Some((taken, encryption))
    }

    /// What follows the head, and whether this asks for encryption.
    fn length(&self) -> (usize, bool) {
        let word = |at: usize| {
            self.head.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_be_bytes)
        };
        // The length counts itself, not the type.
        match self.kind {
            Kind::Startup => {
                (word(0).saturating_sub(8) as usize, [SSL_REQUEST, GSSENC_REQUEST].contains(&word(4)))
            }
            Kind::Typed => (word(1).saturating_sub(4) as usize, false),
            Kind::OneByte => (0, false),
        }
    }

    fn next(&mut self, encryption: bool) {
        // After a request for encryption comes another start-up message.
        if !(self.kind == Kind::Startup && encryption) {
            self.kind = Kind::Typed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of the messages, and which of them ask for encryption, with the stream cut into pieces of this size.
    fn messages(mut framer: Framer, stream: &[u8], piece: usize) -> Vec<(usize, bool)> {
        let (mut found, mut length) = (Vec::new(), 0);
        for mut bytes in stream.chunks(piece) {
            while !bytes.is_empty() {
                let Some((taken, encryption)) = framer.end_of_message(bytes) else {
                    length += bytes.len();
                    break;
                };
                found.push((length + taken, encryption));
                (length, bytes) = (0, &bytes[taken..]);
            }
        }
        assert_eq!(length, 0, "the stream ends with a message");
        found
    }

    #[test]
    fn finds_every_end_however_the_stream_is_cut() {
        let encryption = [&8_u32.to_be_bytes()[..], &SSL_REQUEST.to_be_bytes()].concat();
        let startup = [&13_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"user\0"].concat();
        let query = [b"Q".as_slice(), &9_u32.to_be_bytes(), b"BEGIN"].concat();
        let sync = [b"S".as_slice(), &4_u32.to_be_bytes()].concat();
        let stream = [encryption, startup, query, sync].concat();

        for piece in 1..=stream.len() {
            let found = messages(Framer::from_client(), &stream, piece);
            assert_eq!(found, [(8, true), (13, false), (10, false), (5, false)], "in pieces of {piece}");
        }
    }

    #[test]
    fn takes_the_answer_to_a_request_for_encryption_as_one_message() {
        let mut framer = Framer::from_server();
        framer.expect_one_byte();

        assert_eq!(messages(framer, b"NZ\0\0\0\x05I", 3), [(1, false), (6, false)]);
    }
}
