//! `fuseboard httpbin`: the test server on its own.

use std::net::SocketAddr;

use clap::Args;
use fuseboard_httpbin::Options;

use crate::exit::{Exit, Failure, Outcome};
use crate::{argument, output, signals};

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
        let server =
            fuseboard_httpbin::serve(options).await.map_err(|error| Failure::new(Exit::Error, error))?;
        for address in server.addresses() {
            output::out(format_args!("ready  httpbin http://{address}"));
        }
        signals::until_stopped().await;
        server.stop().await;
        Ok(Exit::Ok)
    })
}
