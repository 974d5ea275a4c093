//! A request whose body is not there yet: it is sent in chunks as it comes, while the answer may already arrive.

use std::io::Read;
use std::pin::pin;

use fuseboard_http1::write;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::answer::{Answer, Extent, Failure, Reader, Receiver};
use crate::request::Request;
use crate::socket::Socket;

/// Bytes taken at once from what is uploaded.
const PIECE: usize = 16 * 1024;

/// Pieces of the body, read on a thread of their own: reading standard input blocks, and cannot be given up. The thread
/// ends with the input, or when nobody takes its pieces any more.
pub(crate) fn pieces_of(mut input: Box<dyn Read + Send>) -> std::io::Result<mpsc::Receiver<Vec<u8>>> {
    let (pieces, received) = mpsc::channel(4);
    let read = move || {
        let mut buffer = vec![0; PIECE];
        // An input that cannot be read further has ended.
        while let Ok(count @ 1..) = input.read(&mut buffer) {
            if pieces.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("upload".into()).spawn(read)?;
    Ok(received)
}

/// Sends the head, then the pieces, and reads the answer meanwhile; an answer that comes early ends the sending.
pub(crate) async fn converse(
    reader: &mut Reader,
    socket: &mut Socket,
    request: &Request,
    pieces: &mut mpsc::Receiver<Vec<u8>>,
    receiver: Option<&mut dyn Receiver>,
) -> Result<Answer, Failure> {
    let (mut from, mut to) = tokio::io::split(socket);
    let mut sending = pin!(async {
        to.write_all(&request.text.bytes).await?;
        let mut framed = Vec::with_capacity(PIECE + 16);
        while let Some(piece) = pieces.recv().await {
            framed.clear();
            write::chunk(&mut framed, &piece);
            to.write_all(&framed).await?;
            to.flush().await?;
        }
        to.write_all(b"0\r\n\r\n").await?;
        to.flush().await
    });
    let mut reading = pin!(reader.answer(&mut from, request.method, Extent::Whole, receiver));
    tokio::select! {
        biased;
        answer = &mut reading => return answer,
        // An error in sending is not the end: a server may answer before it has read everything.
        _ = &mut sending => {}
    }
    reading.await
}
