//! The project file's structure: one definition that reading, writing and the JSON Schema share.
//!
//! Field names are all lower case and are the contract with files that exist. Every scalar is optional
//! and every collection may be absent or null. No flattening and no untagged enums: they would lose the
//! places of mistakes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A project: components with their event sources, applied as one unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
#[schemars(title = "Maelstrom project file")]
pub(super) struct ProjectShape {
    /// The project's name: letters, digits, '_' and '-', at most 20. Stored in lower case.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_-]{1,20}$"))]
    pub(super) name: Option<String>,
    /// Variables for all components, as NAME=value. They win over `envfile`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) environment: Vec<String>,
    /// A file of NAME=value lines for all components, relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) envfile: Option<String>,
    /// The components by name.
    pub(super) components: BTreeMap<String, ComponentShape>,
}

/// A component: an image plus how to run, check, scale and limit it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["image"]))]
pub(super) struct ComponentShape {
    /// The Docker image to run.
    pub(super) image: Option<String>,
    /// Arguments of the container; default: the image's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) command: Vec<String>,
    /// Entry point of the container; default: the image's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) entrypoint: Vec<String>,
    /// Variables as NAME=value. They win over the project's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) environment: Vec<String>,
    /// User in the container: name or id, with :group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    /// The container's host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<String>,
    /// The container's domain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domainname: Option<String>,
    /// Run Docker's init as process 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) containerinit: Option<bool>,

    /// Instances that always run. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) mininstances: Option<i64>,
    /// Instances at most, on all nodes together. Default 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) maxinstances: Option<i64>,
    /// Instances at most on one node. Default 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) maxinstancespernode: Option<i64>,
    /// Requests at a time per instance. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) maxconcurrency: Option<i64>,
    /// If true, maxconcurrency only drives scaling and requests don't wait for a slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) softconcurrencylimit: Option<bool>,
    /// Share of capacity under which instances are removed, 0 to 1. Default 0.25.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub(super) scaledownconcurrencypct: Option<f64>,
    /// Share of capacity above which instances are added, 0 to 1. Default 0.75.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub(super) scaleupconcurrencypct: Option<f64>,
    /// A request's deadline in seconds, waiting included. Default 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub(super) maxdurationseconds: Option<i64>,
    /// Seconds without a request after which the last instance stops. Default 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub(super) idletimeoutseconds: Option<i64>,
    /// Paused instances kept ready, on all nodes together. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) standby: Option<i64>,
    /// Requests that may wait for a slot, per node. Default 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) maxqueue: Option<i64>,

    /// Memory in MiB that placement counts for an instance. Default 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) reservememory: Option<i64>,
    /// Hard memory limit in MiB. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) limitmemory: Option<i64>,
    /// Relative share of CPU time; Docker's default is 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) cpushares: Option<i64>,
    /// Limits as name=soft[:hard], like `docker run --ulimit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ulimits: Vec<String>,
    /// Linux capabilities to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) capadd: Vec<String>,
    /// Linux capabilities to drop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) capdrop: Vec<String>,

    /// The port that the container serves HTTP on. Default 8080.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub(super) httpport: Option<i64>,
    /// What the container speaks: http1 (default) or h2c.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["http1", "h2c", null]))]
    pub(super) httpprotocol: Option<String>,
    /// Path that answers 200 when the instance is healthy. Default /.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) httphealthcheckpath: Option<String>,
    /// Seconds from start to the first 200. Default 60; below 0: no check at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) httpstarthealthcheckseconds: Option<i64>,
    /// Seconds between checks. Default 10; below 0: no checks after the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) httphealthcheckseconds: Option<i64>,
    /// Failed checks in a row after which an instance is replaced. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) httphealthcheckmaxfailures: Option<i64>,
    /// Runs in the container before an instance that failed its checks is stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) healthcheckfailedcommand: Vec<String>,

    /// startstop (the new instance is healthy before the old one stops) or stopstart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["startstop", "stopstart", null]))]
    pub(super) restartorder: Option<String>,
    /// parallel, series (one start at a time in the cluster) or seriesfirst (the first of a version alone).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["parallel", "series", "seriesfirst", null]))]
    pub(super) startparallelism: Option<String>,

    /// A command of the host that pulls the image; <image> in any word is replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pullcommand: Vec<String>,
    /// User at the image registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pullusername: Option<String>,
    /// Password at the image registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pullpassword: Option<String>,
    /// Pull the image whenever the component is put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pullimageonput: Option<bool>,
    /// Pull the image before each start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pullimageonstart: Option<bool>,

    /// Ports to publish: [[address:]host-port:]container-port[/protocol].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ports: Vec<String>,
    /// What to mount into the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) volumes: Vec<VolumeShape>,
    /// Docker network to attach to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) networkname: Option<String>,
    /// DNS servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) dns: Vec<String>,
    /// DNS options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) dnsoptions: Vec<String>,
    /// DNS search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) dnssearch: Vec<String>,
    /// Docker's log driver, or maelstrom: into the daemon's own log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logdriver: Option<String>,
    /// Options of the log driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) logdriveroptions: BTreeMap<String, String>,

    /// What sends requests to the component, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) eventsources: BTreeMap<String, EventSourceShape>,
    /// Lines of SCHEDULE PATH: a GET request each time one is due. # begins a comment line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crontab: Option<String>,
}

/// A mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["target"]))]
pub(super) struct VolumeShape {
    /// bind (default), volume or tmpfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["bind", "volume", "tmpfs", null]))]
    pub(super) r#type: Option<String>,
    /// Path on the host, or a volume's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    /// Absolute path in the container.
    pub(super) target: Option<String>,
    /// Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) readonly: Option<bool>,
}

/// What turns an outside event into a request. Exactly one of the types.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(super) struct EventSourceShape {
    /// Requests by host name and path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http: Option<HttpShape>,
    /// Requests by the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cron: Option<CronShape>,
    /// Messages of an SQS queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sqs: Option<SqsShape>,
    /// Tasks of a Step Functions activity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) awsstepfunc: Option<StepFunctionsShape>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HttpShape {
    /// example.com or *.example.com.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<String>,
    /// Matches the path up to the end of a segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pathprefix: Option<String>,
    /// Remove the prefix before the request is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stripprefix: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["schedule"]))]
pub(super) struct CronShape {
    /// Five fields, @daily and the like, or @every 1h30m. CRON_TZ=Area/City before it sets the time zone.
    pub(super) schedule: Option<String>,
    /// The request to send.
    pub(super) http: CronRequestShape,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["method", "path"]))]
pub(super) struct CronRequestShape {
    /// HTTP method.
    pub(super) method: Option<String>,
    /// Path, begins with /.
    pub(super) path: Option<String>,
    /// Body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<String>,
    /// Headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Vec<NameValueShape>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct NameValueShape {
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["queuename", "path"]))]
pub(super) struct SqsShape {
    /// The queue's name, or the beginning of several queues' names.
    pub(super) queuename: Option<String>,
    /// queuename is the beginning of names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nameasprefix: Option<bool>,
    /// Where messages are sent to, begins with /.
    pub(super) path: Option<String>,
    /// Messages in flight in the whole cluster. Default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) maxconcurrency: Option<i64>,
    /// Messages per receive, 1 to 10. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub(super) messagesperpoll: Option<i64>,
    /// Messages in flight per poller. Default: messagesperpoll.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) concurrencyperpoller: Option<i64>,
    /// Seconds that a received message is invisible to others. Default 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 43200))]
    pub(super) visibilitytimeout: Option<i64>,
    /// One request for all messages of a receive, in the shape of Lambda's SQS events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["activityname", "path"]))]
pub(super) struct StepFunctionsShape {
    /// The activity's name; it is created if missing.
    pub(super) activityname: Option<String>,
    /// Where tasks are sent to, begins with /.
    pub(super) path: Option<String>,
    /// Tasks in flight in the whole cluster. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) maxconcurrency: Option<i64>,
    /// Tasks in flight per poller. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(super) concurrencyperpoller: Option<i64>,
}
