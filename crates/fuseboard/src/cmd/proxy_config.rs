//! `fuseboard proxy-config`: what a proxy runs, in istioctl's tables; of a running instance, or of a page kept in a file, which
//! may be a real Envoy's.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use clap::{Args, Subcommand, ValueHint};
use fuseboard_admin::AdminClient;
use fuseboard_admin::instance::RuntimeDirectory;
use fuseboard_admin::logging::Level;
use fuseboard_admin::proxy_config::{
    ClusterFilter, Dump, DumpError, EndpointFilter, ListenerFilter, RouteFilter, Tree,
};

use crate::asking::{self, Target};
use crate::exit::{Exit, Failure, Outcome};
use crate::{document, hosts, output};

const CONFIG: &str = "/config_dump";
const CONFIG_AND_ENDPOINTS: &str = "/config_dump?include_eds";
const CLUSTERS: &str = "/clusters?format=json";

/// Show what a proxy runs, and its log levels, as istioctl does
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard proxy-config cluster --fqdn httpbin
  fuseboard pc endpoint --status unhealthy
  fuseboard pc listener --port 15001
  # of a real Envoy, from a file
  curl -s 'localhost:15000/config_dump?include_eds' > envoy.json
  fuseboard proxy-config cluster --file envoy.json -o json")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Clusters and the rules that apply to them
    #[command(
        visible_aliases = ["clusters", "c"],
        after_help = "Examples:
  fuseboard proxy-config cluster
  fuseboard proxy-config cluster --fqdn httpbin --port 8000 -o json
  fuseboard proxy-config cluster --file envoy.json

DESTINATION RULE is NAME.NAMESPACE; -o json has limits (circuitBreakers) and
ejection (outlierDetection)."
    )]
    Cluster(Clusters),
    /// Endpoints, their health, and whether outlier detection ejects them now
    #[command(
        visible_aliases = ["endpoints", "ep"],
        after_help = "Examples:
  fuseboard proxy-config endpoint
  fuseboard proxy-config endpoint --cluster 'outbound|8000||httpbin.default.svc.cluster.local'
  fuseboard proxy-config endpoint --port 8080 --status healthy -o yaml
  fuseboard proxy-config endpoint --file clusters.json

OUTLIER CHECK is FAILED while the endpoint is ejected. --file takes what
/clusters?format=json answered, or /config_dump?include_eds, which knows
localities instead of ejections."
    )]
    Endpoint(Endpoints),
    /// Addresses that are listened on, and where what comes there goes
    #[command(
        visible_aliases = ["listeners", "l"],
        after_help = "Examples:
  fuseboard proxy-config listener
  fuseboard proxy-config listener --port 15001 -o json
  fuseboard proxy-config listener --type TCP
  fuseboard proxy-config listener --file envoy.json

MATCH says what a connection must be; of several lines the last one takes the
others. DESTINATION is a table of `proxy-config route`, or a cluster."
    )]
    Listener(Listeners),
    /// Which hosts lead to which service
    #[command(
        visible_aliases = ["routes", "r"],
        after_help = "Examples:
  fuseboard proxy-config route
  fuseboard proxy-config route --name 80
  fuseboard proxy-config route -o json
  fuseboard proxy-config route --file envoy.json

-o json has time-outs and retries, and the cluster that each route leads to."
    )]
    Route(Routes),
    /// Certificates that are shown and trusted, and until when
    #[command(
        visible_aliases = ["secrets", "s"],
        after_help = "Examples:
  fuseboard proxy-config secret
  fuseboard proxy-config secret -o json
  fuseboard proxy-config secret --file envoy.json

A private key is never shown, whatever the format. `fuseboard admin request GET
certs` has the names that certificates are for."
    )]
    Secret(Secrets),
    /// Tables of everything but the log, or the whole config dump with -o json
    #[command(
        visible_alias = "a",
        after_help = "Examples:
  fuseboard proxy-config all
  fuseboard proxy-config all -o json > dump.json
  fuseboard proxy-config all --file dump.json"
    )]
    All(All),
    /// Levels of the proxy's log, shown or changed while it runs
    #[command(
        visible_alias = "o",
        after_help = "Examples:
  fuseboard proxy-config log
  fuseboard proxy-config log --level debug
  fuseboard proxy-config log --level upstream:debug,router:trace
  fuseboard proxy-config log --reset

Levels: trace, debug, info, warning, error, critical, off."
    )]
    Log(Log),
}

/// Which proxy.
#[derive(Args)]
struct Which {
    /// Running instance: its process id or its admin address; default: as --admin says
    #[arg(value_name = "INSTANCE", conflicts_with_all = ["admin", "proxy_admin_port"])]
    instance: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Port of the admin server on this machine
    #[arg(long, value_name = "PORT", conflicts_with = "admin")]
    proxy_admin_port: Option<u16>,
}

/// Where the page comes from, and how it is shown.
#[derive(Args)]
struct Source {
    #[command(flatten)]
    which: Which,
    /// Page that was kept instead of a running proxy's; - is standard input
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["admin", "instance", "proxy_admin_port"], value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// short (a table), json or yaml
    #[arg(short, long, value_name = "FORMAT", default_value = "short", value_parser = ["short", "json", "yaml"])]
    output: String,
}

#[derive(Args)]
struct Clusters {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    filter: ClusterFlags,
    /// Only this port of a service
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
}

#[derive(Args)]
struct ClusterFlags {
    /// Only clusters with this in the service's name
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    fqdn: String,
    /// Only clusters with this in the subset's name
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    subset: String,
    /// inbound or outbound
    #[arg(long, value_name = "DIRECTION", default_value = "", hide_default_value = true)]
    direction: String,
}

#[derive(Args)]
struct Endpoints {
    #[command(flatten)]
    source: Source,
    /// Only endpoints of this cluster: its whole name
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    cluster: String,
    /// Only this address
    #[arg(long, value_name = "IP", default_value = "", hide_default_value = true)]
    address: String,
    /// Only this port of an endpoint
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Only this status: healthy, unhealthy, draining, timeout, degraded or unknown
    #[arg(long, value_name = "STATUS", default_value = "", hide_default_value = true)]
    status: String,
}

#[derive(Args)]
struct Listeners {
    #[command(flatten)]
    source: Source,
    /// Only this address
    #[arg(long, value_name = "IP", default_value = "", hide_default_value = true)]
    address: String,
    /// Only this port
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Only this kind: HTTP, TCP or HTTP+TCP
    #[arg(long = "type", value_name = "TYPE", default_value = "", hide_default_value = true)]
    kind: String,
}

#[derive(Args)]
struct Routes {
    #[command(flatten)]
    source: Source,
    /// Only the table of this name
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    name: String,
}

#[derive(Args)]
struct Secrets {
    #[command(flatten)]
    source: Source,
}

#[derive(Args)]
struct All {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    filter: ClusterFlags,
    /// Only this port: of services, and of endpoints
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Only this address of endpoints
    #[arg(long, value_name = "IP", default_value = "", hide_default_value = true)]
    address: String,
}

#[derive(Args)]
struct Log {
    #[command(flatten)]
    which: Which,
    /// LEVEL for all loggers, or LOGGER:LEVEL,... for some
    #[arg(long, value_name = "LEVELS", conflicts_with = "reset")]
    level: Option<String>,
    /// Back to warning, for all loggers
    #[arg(short, long)]
    reset: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.what {
        What::Log(asked) => log(asked),
        What::Cluster(asked) => clusters(asked),
        What::Endpoint(asked) => endpoints(asked),
        What::Listener(asked) => listeners(asked),
        What::Route(asked) => routes(asked),
        What::Secret(asked) => secrets(asked),
        What::All(asked) => all(asked),
    }
}

fn clusters(asked: &Clusters) -> Outcome {
    let filter = asked.filter.with_port(asked.port);
    let table = |dump: &Dump| {
        let table = dump.cluster_table(&filter)?;
        hint_when_empty(&table, &filter.fqdn, dump);
        Ok(table)
    };
    asked.source.show(CONFIG, table, |dump| dump.cluster_settings(&filter))
}

fn endpoints(asked: &Endpoints) -> Outcome {
    let filter = EndpointFilter {
        address: asked.address.clone(),
        port: asked.port,
        cluster: asked.cluster.clone(),
        status: asked.status.clone(),
    };
    let table = |dump: &Dump| {
        let table = dump.endpoint_table(&filter, "")?;
        hint_when_empty(&table, &filter.cluster, dump);
        Ok(table)
    };
    asked.source.show(CLUSTERS, table, |dump| dump.endpoint_settings(&filter))
}

fn listeners(asked: &Listeners) -> Outcome {
    let filter =
        ListenerFilter { address: asked.address.clone(), port: asked.port, kind: asked.kind.clone() };
    let table = |dump: &Dump| dump.listener_table(&filter);
    asked.source.show(CONFIG, table, |dump| dump.listener_settings(&filter))
}

fn routes(asked: &Routes) -> Outcome {
    let filter = RouteFilter { name: asked.name.clone() };
    asked.source.show(CONFIG, |dump| dump.route_table(&filter), |dump| dump.route_settings(&filter))
}

fn secrets(asked: &Secrets) -> Outcome {
    asked.source.show(CONFIG, |dump| dump.secret_table(SystemTime::now()), Dump::secret_settings)
}

fn all(asked: &All) -> Outcome {
    let page = asked.source.page(CONFIG_AND_ENDPOINTS)?;
    match &page.dump {
        Dump::Config(dump) if asked.source.output != "short" => return asked.source.print(dump),
        _ => {}
    }
    let of_endpoints =
        EndpointFilter { address: asked.address.clone(), port: asked.port, ..EndpointFilter::default() };
    let clusters =
        page.dump.cluster_table(&asked.filter.with_port(asked.port)).map_err(|error| page.unusable(error))?;
    let endpoints =
        page.dump.endpoint_table(&of_endpoints, "endpoint/").map_err(|error| page.unusable(error))?;
    let of_listeners =
        ListenerFilter { address: asked.address.clone(), port: asked.port, ..ListenerFilter::default() };
    // A dump may have been kept of clusters and endpoints only.
    let others = [
        page.dump.listener_table(&of_listeners),
        page.dump.route_table(&RouteFilter::default()),
        page.dump.secret_table(SystemTime::now()),
    ];
    let tables = [clusters].into_iter().chain(others.into_iter().flatten()).chain([endpoints]);
    output::out_raw(&tables.collect::<Vec<_>>().join("\n"));
    Ok(Exit::Ok)
}

/// Prints the levels that are in force afterwards, below the proxy's name.
fn log(asked: &Log) -> Outcome {
    let client = asked.which.client()?;
    let levels = if asked.reset { Some("warning") } else { asked.level.as_deref() };
    let mut targets: Vec<String> = levels.map(changes).unwrap_or_default();
    if targets.is_empty() {
        targets.push("/logging".to_owned());
    }
    let mut text = String::new();
    for target in targets {
        let answer = client.post(&target).map_err(asking::unreachable)?;
        text = answer.text();
        if answer.status >= 400 {
            // Behind its first line the answer explains a request that nobody has typed.
            let problem = text.lines().next().unwrap_or_default();
            let problem = problem.strip_prefix("error: ").unwrap_or(problem);
            return Err(Failure::message(Exit::Usage, problem).next(format!(
                "write one of {}, or LOGGER:LEVEL with a logger that `proxy-config log` lists",
                Level::ALL.map(Level::name).join(", ")
            )));
        }
    }
    output::out_raw(&format!("{}:\n{text}", client.address()));
    Ok(Exit::Ok)
}

/// What is asked of `/logging`: the level of all, then those of some, whatever their order.
fn changes(levels: &str) -> Vec<String> {
    let (some, all): (Vec<&str>, Vec<&str>) = levels.split(',').partition(|level| level.contains(':'));
    let all = all.last().map(|level| format!("/logging?level={level}"));
    let some = (!some.is_empty()).then(|| format!("/logging?paths={}", some.join(",")));
    all.into_iter().chain(some).collect()
}

impl ClusterFlags {
    fn with_port(&self, port: u16) -> ClusterFilter {
        ClusterFilter {
            fqdn: self.fqdn.clone(),
            port,
            subset: self.subset.clone(),
            direction: self.direction.clone(),
        }
    }
}

/// An empty table of a name that does not exist would leave one guessing.
fn hint_when_empty(table: &str, word: &str, dump: &Dump) {
    let names = dump.cluster_names();
    let exists = names.iter().any(|name| name.to_lowercase().contains(&word.to_lowercase()));
    if table.lines().count() == 1 && !word.is_empty() && !exists {
        output::note(format_args!("no cluster has `{word}` in its name; {}", hosts::hint(word, &names)));
    }
}

/// A page, and where it is from.
struct Page {
    dump: Dump,
    file: Option<PathBuf>,
}

impl Page {
    /// What asked for it cannot be made of it.
    fn unusable(&self, error: DumpError) -> Failure {
        match &self.file {
            Some(file) => unreadable(file, error),
            None => Failure::new(Exit::Error, error),
        }
    }
}

fn unreadable(file: &Path, error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Exit::BadInput, error.into().context(format!("{} cannot be used", file.display())))
        .next("keep a page with curl -s 'localhost:15000/config_dump?include_eds' > FILE")
}

impl Which {
    fn client(&self) -> Result<AdminClient, Failure> {
        match (&self.instance, self.proxy_admin_port) {
            (Some(instance), _) => running(instance),
            (None, Some(port)) => Ok(asking::at_port(port)),
            (None, None) => self.target.client(),
        }
    }
}

impl Source {
    /// The page from the file, or `target` of the running proxy.
    fn page(&self, target: &str) -> Result<Page, Failure> {
        let Some(file) = &self.file else {
            let text = asking::text(&self.which.client()?, target)?;
            let dump = Dump::parse(&text).with_context(|| format!("{target} of this proxy"))?;
            return Ok(Page { dump, file: None });
        };
        let text = if file.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map(|_| text)
        } else {
            fs::read_to_string(file)
        };
        let text = text.map_err(|error| unreadable(file, error))?;
        let dump = Dump::parse(&text).map_err(|error| unreadable(file, error))?;
        Ok(Page { dump, file: Some(file.clone()) })
    }

    /// What there is of a page, in the format that was asked for.
    fn show(
        &self,
        page: &str,
        table: impl FnOnce(&Dump) -> Result<String, DumpError>,
        settings: impl FnOnce(&Dump) -> Result<Tree, DumpError>,
    ) -> Outcome {
        let page = self.page(page)?;
        if self.output == "short" {
            output::out_raw(&table(&page.dump).map_err(|error| page.unusable(error))?);
            return Ok(Exit::Ok);
        }
        self.print(&settings(&page.dump).map_err(|error| page.unusable(error))?)
    }

    fn print(&self, tree: &Tree) -> Outcome {
        let text = if self.output == "yaml" { document::yaml(tree)? } else { document::json(tree, "    ")? };
        output::out_raw(&text);
        Ok(Exit::Ok)
    }
}

/// The instance with this process id or admin address.
fn running(name: &str) -> Result<AdminClient, Failure> {
    let instances = RuntimeDirectory::from_environment().instances();
    let named = instances.iter().find(|one| one.admin == name || one.pid.to_string() == name);
    if let Some(address) = named.and_then(|one| one.admin.parse().ok()) {
        return Ok(AdminClient::new(address));
    }
    let running: Vec<String> =
        instances.iter().map(|one| format!("{} (pid {})", one.admin, one.pid)).collect();
    let message = format!("no instance `{name}` runs here; pods of Kubernetes are not there yet");
    let next = match running.as_slice() {
        [] => "start one with `fuseboard run`, or name a proxy with --admin HOST:PORT".to_owned(),
        running => format!("leave the name out, or take one of {}", running.join(", ")),
    };
    Err(Failure::message(Exit::Usage, message).next(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_all_comes_before_those_of_some() {
        assert_eq!(changes("debug"), ["/logging?level=debug"]);
        assert_eq!(changes("http:debug,pool:off"), ["/logging?paths=http:debug,pool:off"]);
        assert_eq!(changes("http:trace,info"), ["/logging?level=info", "/logging?paths=http:trace"]);
    }
}
