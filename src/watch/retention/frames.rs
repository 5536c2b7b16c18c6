//! Frames of zstd, of which a file of the archive is made: each is a batch of lines with a checksum.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom, Write as _};

use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

/// As quick as writing to a disk is, and half as large as the quickest.
const LEVEL: i32 = 3;

/// Up to where a file can be read, and why not further.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// All of it.
    Whole,
    /// Its last frame was cut off.
    CutOff,
    /// Something in it is no frame, or not what was written.
    Damaged,
}

/// Lines as a frame.
pub(super) fn frame(lines: &[String]) -> io::Result<Vec<u8>> {
    let mut encoder = Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    for line in lines {
        encoder.write_all(line.as_bytes())?;
        encoder.write_all(b"\n")?;
    }
    encoder.finish()
}

/// Reads frames from `from` on, and says where the last whole one ends.
pub(super) fn read_through(file: &File, from: u64) -> io::Result<(u64, Ends)> {
    let mut reader = BufReader::new(file);
    let mut whole = reader.seek(SeekFrom::Start(from))?;
    loop {
        if reader.fill_buf()?.is_empty() {
            return Ok((whole, Ends::Whole));
        }
        let mut decoder = Decoder::with_buffer(reader)?.single_frame();
        let read = io::copy(&mut decoder, &mut io::sink());
        reader = decoder.finish();
        match read {
            Ok(_) => whole = reader.stream_position()?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Ok((whole, Ends::CutOff));
            }
            // What zstd has to say; the system's own errors have a number.
            Err(error) if error.raw_os_error().is_none() => return Ok((whole, Ends::Damaged)),
            Err(error) => return Err(error),
        }
    }
}
