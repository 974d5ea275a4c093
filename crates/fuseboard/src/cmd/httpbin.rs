//! `fuseboard httpbin`: the test server on its own.

use std::io;
use std::net::SocketAddr;

use clap::Args;
use fuseboard_httpbin::{Options, ServeError};

use crate::exit::{Exit, Failure, Outcome};
use crate::signals::StopSignals;
use crate::{argument, output};

/// Serve httpbin: a test server whose delays and failures the caller chooses
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard httpbin --listen 127.0.0.1:8080
  curl http://127.0.0.1:8080/status/503
  curl http://127.0.0.1:8080/delay/250ms
  # 20 % of the answers are 503, 10 % take 150 us longer
  curl 'http://127.0.0.1:8080/echo?status=503:20&delay=150us:10'")]
pub(crate) struct Arguments {
    /// Address to listen on; may be repeated; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = argument::listen)]
    listen: Vec<SocketAddr>,
    /// Name of this instance, in /hostname and in the answer header x-httpbin-instance
    #[arg(long)]
    name: Option<String>,
    /// Seed of everything random; default: a random one
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut options = Options::on(arguments.listen[0]);
        options.listen.clone_from(&arguments.listen);
        options.name.clone_from(&arguments.name);
        options.seed = arguments.seed;
        let mut signals = StopSignals::listen()?;
        let server = fuseboard_httpbin::serve(options).await.map_err(not_served)?;
        for address in server.addresses() {
            output::out(format_args!("ready  httpbin http://{address}"));
        }
        signals.next().await;
        server.stop().await;
        Ok(Exit::Ok)
    })
}

/// Who has the port, where that is the problem and the system tells.
pub(crate) fn not_served(error: ServeError) -> Failure {
    let holder = match &error {
        ServeError::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
            fuseboard_proxy::holder_of(*address).map(|holder| format!("{error}: in use by {holder}"))
        }
        _ => None,
    };
    let failure = Failure::new(Exit::Error, error);
    match holder {
        Some(text) => Failure::message(Exit::Error, text).next("choose another port; 0 takes a free one"),
        None => failure,
    }
}
