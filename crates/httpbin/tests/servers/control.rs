//! The control door.

use crate::client::{ANY_PORT, ask_at, get, start_with};

#[tokio::test]
async fn the_door_breaks_and_mends_an_instance_while_it_runs() {
    let server = start_with(|options| options.control = Some(ANY_PORT)).await;
    let door = server.control_address().unwrap();
    let turn = async |body: &str| ask_at(door, "POST /_ctl", &[], body).await;
    let shown = turn("{\"fail\": 1, \"status\": 500}").await;
    assert_eq!(
        (shown.status(), &shown.json()["fail"], &shown.json()["status"]),
        (200, &1.0.into(), &500.into())
    );
    assert_eq!(get(&server, "/get").await.status(), 500);
    turn("{\"fail\": 0}").await;
    assert_eq!(get(&server, "/get").await.status(), 200);
    let shown = ask_at(door, "GET /_ctl", &[], "").await.json();
    assert_eq!((&shown["fail"], &shown["status"], &shown["delay"]), (&0.0.into(), &500.into(), &"0s".into()));
    assert_eq!(shown["requests"]["total"], 2);
}

#[tokio::test]
async fn a_share_of_requests_fails() {
    let server = start_with(|options| options.seed = Some(1)).await;
    server.control().fail_share(0.5);
    let mut failed = 0;
    for _ in 0..100 {
        failed += u32::from(get(&server, "/get").await.status() == 503);
    }
    assert!((30..70).contains(&failed), "{failed}");
}

#[tokio::test]
async fn an_instance_that_hangs_takes_requests_and_answers_them_when_it_does_not_any_more() {
    let server = start_with(|options| options.control = Some(ANY_PORT)).await;
    let (door, control) = (server.control_address().unwrap(), server.control());
    let turn = async |body: &str| ask_at(door, "POST /_ctl", &[], body).await.json();
    assert_eq!(turn("{\"hang\": true}").await["hang"], true);
    let mut waiting = std::pin::pin!(get(&server, "/get"));
    let taken = async {
        while control.counts().requests.active == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = &mut waiting => assert_eq!(answer.status(), 0, "it answers"),
        () = taken => {}
    }
    assert_eq!(turn("{\"hang\": false}").await["hang"], false);
    assert_eq!(waiting.await.status(), 200);
    assert_eq!(get(&server, "/get").await.status(), 200);
}

#[tokio::test]
async fn the_door_tells_every_mistake_and_changes_nothing() {
    let server = start_with(|options| options.control = Some(ANY_PORT)).await;
    let door = server.control_address().unwrap();
    let refused = ask_at(door, "POST /_ctl", &[], "{\"fail\": 2, \"delay\": \"1s\", \"sped\": 1}").await;
    assert_eq!(refused.status(), 400);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("fail: 2 is not a share") && detail.contains("sped: not known here"), "{detail}");
    assert_eq!(ask_at(door, "GET /_ctl", &[], "").await.json()["delay"], "0s");
    assert_eq!(ask_at(door, "POST /_ctl", &[], "[]").await.status(), 400);
    assert_eq!(ask_at(door, "DELETE /_ctl", &[], "").await.header("allow"), Some("GET, HEAD, POST"));
    assert_eq!(ask_at(door, "GET /get", &[], "").await.status(), 404);
    // The instance itself has no such path.
    assert_eq!(get(&server, "/_ctl").await.status(), 404);
}
