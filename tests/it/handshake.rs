//! The handshake: whoever knows the verify token gets its challenge back.

use crate::support::{
    http::{self, VERIFY_TOKEN},
    postgres::TestDatabase,
    setup::Setup,
};

#[tokio::test]
async fn the_handshake_answers_whoever_knows_the_token() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let ask = async |query: &str| {
        let answer = http::get(&format!("{}?{query}", service.webhook())).await;
        answer.expect("an answer")
    };

    for hub in ["hub.", "hub_"] {
        let answer = ask(&format!(
            "{hub}mode=subscribe&{hub}verify_token={VERIFY_TOKEN}&{hub}challenge=1158%3Cb%3E"
        ))
        .await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "1158<b>"));
        let content_type = answer.header("content-type").expect("a content type");
        assert!(content_type.starts_with("text/plain"), "{content_type}");
    }
    for (query, status) in [
        (
            "hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1",
            403,
        ),
        ("hub.mode=subscribe&hub.verify_token=&hub.challenge=1", 403),
        (
            &format!("hub.mode=unsubscribe&hub.verify_token={VERIFY_TOKEN}&hub.challenge=1"),
            403,
        ),
        (
            &format!("hub.mode=subscribe&hub.verify_token={VERIFY_TOKEN}"),
            400,
        ),
        (
            &format!("hub.verify_token={VERIFY_TOKEN}&hub.challenge=1"),
            400,
        ),
        ("hub.mode=subscribe&hub.challenge=1", 400),
        ("", 400),
    ] {
        let answer = ask(query).await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
        assert!(!answer.body.contains(VERIFY_TOKEN), "{answer:?}");
    }
}
