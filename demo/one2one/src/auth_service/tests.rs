use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const GOOD: &str = r#"{"iceServers":[{"urls":["turn:192.0.2.1:3478"],"username":"u","credential":"p"}]}"#;

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A service that gives these answers in turn, one per connection, and returns the first lines it was asked.
async fn service(answers: Vec<String>) -> (AuthService, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut lines = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            lines.push(String::from_utf8(request).unwrap().lines().next().unwrap().to_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        lines
    });
    (at(port), task)
}

fn at(port: u16) -> AuthService {
    let filter = Filter::default();
    AuthService { host: "127.0.0.1".to_owned(), port, filter, ttl: Duration::from_secs(3600) }
}

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

#[tokio::test]
async fn s5_1_the_question_is_the_published_one() {
    let (mut auth, asked) = service(vec![answer("200 OK", GOOD), answer("200 OK", GOOD)]).await;
    auth.ice(&user("Zoë & co")).await.unwrap();
    auth.filter = Filter {
        namespace: Some("stunner".to_owned()),
        gateway: Some("udp-gateway".to_owned()),
        listener: Some("udp-listener".to_owned()),
    };
    let ice = auth.ice(&user("alice")).await.unwrap();
    assert_eq!(ice.uris().collect::<Vec<_>>(), ["turn:192.0.2.1:3478"]);
    assert_eq!(
        asked.await.unwrap(),
        [
            "GET /ice?service=turn&username=Zo%C3%AB%20%26%20co&iceTransportPolicy=relay&ttl=3600 HTTP/1.1",
            "GET /ice?service=turn&username=alice&iceTransportPolicy=relay&namespace=stunner&gateway=udp-gateway\
             &listener=udp-listener&ttl=3600 HTTP/1.1",
        ]
    );
}

#[test]
fn s1_3_empty_filters_are_left_out() {
    let mut auth = at(1);
    auth.filter.namespace = Some(String::new());
    assert_eq!(auth.path(&user("a")), at(1).path(&user("a")));
}

#[tokio::test]
async fn w2_a_failing_service_is_asked_again_twice() {
    let down = || answer("500 Internal Server Error", "no STUNner configuration available\n");
    let (auth, asked) = service(vec![down(), down(), answer("200 OK", GOOD)]).await;
    assert!(auth.ice(&user("alice")).await.is_ok());
    assert_eq!(asked.await.unwrap().len(), 3);

    let (auth, asked) = service(vec![down(), down(), down()]).await;
    let error = auth.ice(&user("alice")).await.unwrap_err().to_string();
    assert!(error.starts_with("HTTP error when querying the STUNner auth service with params "), "{error}");
    assert!(error.ends_with("500 Internal Server Error: no STUNner configuration available"), "{error}");
    assert_eq!(asked.await.unwrap().len(), 3);
}

#[tokio::test]
async fn w2_a_definite_no_is_not_asked_again() {
    for (status, body, why) in [
        ("404 Not Found", "no valid listener found\n", "404 Not Found: no valid listener found"),
        ("400 Bad Request", "", "400 Bad Request: "),
        ("200 OK", "404 page not found", "the answer is not a JSON object"),
        ("200 OK", "{}", "the answer holds no list of ICE servers"),
    ] {
        let (auth, asked) = service(vec![answer(status, body)]).await;
        let error = auth.ice(&user("alice")).await.unwrap_err().to_string();
        assert!(error.ends_with(why), "{error}");
        assert_eq!(asked.await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn w2_nobody_listening_is_an_error_that_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = at(free).ice(&user("alice")).await.unwrap_err().to_string();
    assert!(error.contains("cannot connect to the service"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn d7_a_silent_service_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let auth = at(listener.local_addr().unwrap().port());
    let started = tokio::time::Instant::now();
    let error = auth.ice(&user("alice")).await.unwrap_err().to_string();
    assert!(error.ends_with("no answer within 4.5 s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "in virtual time");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let body = " ".repeat(MAX_BODY + 1);
    let (auth, _) =
        service(vec![answer("200 OK", &body), answer("200 OK", &body), answer("200 OK", &body)]).await;
    let error = auth.ice(&user("alice")).await.unwrap_err().to_string();
    assert!(error.ends_with("the answer of the service could not be read"), "{error}");
}
