//! `fuseboard nc`: standard input to a TCP or UDP server, its answers to standard output.

use std::io::{self, Write};

use clap::Args;
use fuseboard_load::{NetcatError, Peer};

use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Connect standard input and output to a TCP or UDP server
#[derive(Args)]
#[command(after_help = "Examples:
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | fuseboard nc 127.0.0.1:8080
  echo hello | fuseboard nc udp://127.0.0.1:8078

It ends when the server closes the connection. A UDP server is listened to for
0.4 s after the input has ended.")]
pub(crate) struct Arguments {
    /// host:port, with tcp:// or udp:// in front if need be
    #[arg(value_name = "DESTINATION")]
    destination: String,
    /// Port, if it does not stand behind the host
    port: Option<u16>,
    /// Go on reading the input after the server has closed the connection
    #[arg(long, visible_alias = "nc-dont-stop-on-eof")]
    dont_stop_on_eof: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let Arguments { destination, port, dont_stop_on_eof } = arguments;
    let destination = match port {
        Some(port) => format!("{destination}:{port}"),
        None => destination.clone(),
    };
    talk(&destination, *dont_stop_on_eof, &mut Stdout)
}

/// Talks to the server; what it says goes to `answers`.
pub(crate) fn talk(destination: &str, wait_for_input: bool, answers: &mut dyn Write) -> Outcome {
    let talked = Peer::parse(destination).and_then(|peer| peer.talk(io::stdin(), answers, wait_for_input));
    match talked {
        Ok(()) => Ok(Exit::Ok),
        Err(error) => Err(Failure::new(exit_of(&error), error)),
    }
}

fn exit_of(error: &NetcatError) -> Exit {
    match error {
        NetcatError::Malformed(_) => Exit::Usage,
        NetcatError::Connect { .. } => Exit::NoConnection,
        _ => Exit::Error,
    }
}

struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        output::out_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
