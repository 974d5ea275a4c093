//! Messages of services that many know: gRPC's health check, and fortio's ping.

use prost::Message;

/// `grpc.health.v1.Health`
pub const HEALTH: &str = "grpc.health.v1.Health";
/// `fgrpc.PingServer`
pub const PING: &str = "fgrpc.PingServer";

/// `grpc.health.v1.HealthCheckRequest`
#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckRequest {
    /// Empty: the server as a whole.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// `grpc.health.v1.HealthCheckResponse`
#[derive(Clone, PartialEq, Message)]
pub struct HealthCheckResponse {
    /// One of [`SERVINGS`], by its place.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// What `grpc.health.v1.HealthCheckResponse.ServingStatus` can be, by number.
pub const SERVINGS: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

impl HealthCheckResponse {
    /// It is well.
    pub const SERVING: i32 = 1;
    /// It is not.
    pub const NOT_SERVING: i32 = 2;
    /// Nobody knows it.
    pub const SERVICE_UNKNOWN: i32 = 3;
}

/// `fgrpc.PingMessage`, in both directions.
#[derive(Clone, PartialEq, Message)]
pub struct PingMessage {
    /// The caller's number.
    #[prost(int64, tag = "1")]
    pub seq: i64,
    /// Nanoseconds since 1970, at who sends it.
    #[prost(int64, tag = "2")]
    pub ts: i64,
    /// Comes back as it is.
    #[prost(string, tag = "3")]
    pub payload: String,
    /// How long the server is to wait.
    #[prost(int64, tag = "4")]
    pub delay_nanos: i64,
}
