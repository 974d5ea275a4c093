//! The usage text of `load` and `curl`, and of fortio.

use crate::beyond;
use crate::flag_table::FLAGS;
use crate::go;
use crate::options::Style;
use crate::unsupported;

/// The usage text, printed behind an error or for `-h`.
pub fn usage(style: Style) -> String {
    let flags = go::flag::usage(FLAGS);
    match style {
        Style::Fortio => {
            let (name, version) = style.product();
            format!(
                "{name} {version} usage:\n\tfortio command [flags] target\n{FORTIO_COMMANDS}flags:\n{flags}not supported:\n{}",
                unsupported::listed()
            )
        }
        Style::Fuseboard => format!(
            "Call a URL over and over (load), or once (curl)

Usage: fuseboard load [FLAGS] URL
       fuseboard curl [FLAGS] URL

Flags are fortio's: with one dash or two, and in front of the URL.
{flags}
What fortio does not have:
{}
Not supported:
{}{EXAMPLES}",
            go::flag::usage(beyond::FLAGS),
            unsupported::listed()
        ),
    }
}

const FORTIO_COMMANDS: &str = "\
where command is one of: load (load testing), curl (single URL debug),
 nc (single tcp or udp:// connection), report (saved results, as text),
 version (prints the version) or buildinfo (and who builds it).
where target is a URL (http load tests); flags come before it, with one dash or two.
This is Fuseboard as fortio: what fortio has besides, says here why it has not.
";

const EXAMPLES: &str = "
Examples:
  # 30 calls from 3 callers, as fast as they can
  fuseboard load -c 3 -qps 0 -n 30 http://127.0.0.1:9000/get
  # 100 calls a second for a minute, with the result as JSON besides
  fuseboard load -c 8 -qps 100 -t 1m -json result.json http://127.0.0.1:9000/get
  # no call fails and 99 of 100 take less than 50 ms, or the exit code is 99
  fuseboard load -qps 50 -expect 'errors == 0' -expect 'p99 < 50ms' http://127.0.0.1:9000/get
  # what callers saw is what the proxy counted
  fuseboard load -c 3 -qps 0 -n 30 -expect 'refused limit.queue_full == stat' http://127.0.0.1:9000/get
  # from 1 to 50 calls a second, then 50 for a minute, each sent when it is due
  fuseboard load -open -ramp 1:50:30s -steps 50:1m http://127.0.0.1:9000/get
  # in HTTP/2, 20 calls at a time on each of two connections
  fuseboard load -h2 -c 2 -streams 20 -qps 0 -n 1000 http://127.0.0.1:8080/get
  # health checks of gRPC, all of which must say SERVING
  fuseboard load -grpc -c 2 -n 40 -expect 'code SERVING == 40' localhost:8079
  # through a proxy that routes by Host
  fuseboard curl -H Host:httpbin:8000 http://127.0.0.1:15001/get
  # over TLS, with a certificate of your own authority, at the address given
  fuseboard load -cacert ca.pem -resolve 127.0.0.1 https://httpbin.test:8443/get

The result goes to stdout, everything else to stderr. Ctrl-C prints the result
so far. A call fails when its answer is not 2xx or 418; the exit code is 0 all
the same, 1 when the run could not be made, 2 for wrong flags, 99 when an
expectation fails. docs/load-testing.md has the grammar of expectations.
";
