//! The service answers what its description says, and the description says all that the service does.

use std::collections::BTreeSet;

use auth::query::Endpoint;
use axum::http::StatusCode;
use config::Protocol;
use regex::Regex;
use serde_json::Value;

use crate::support::{Delivery, Service, ephemeral, fixed, listener, open};

async fn described(service: &Service) -> Value {
    service.get("/openapi.json").await.json()
}

async fn service() -> Service {
    let stun = open("n/open", vec![listener("n/open/udp", Protocol::Udp, ("192.0.2.1", 3478), ("", 1))]);
    Service::with(Delivery::Injected, &[fixed(), ephemeral(), stun]).await
}

#[tokio::test]
async fn the_description_is_served_in_both_forms() {
    let service = service().await;
    let yaml = service.get("/openapi.yaml").await;
    assert_eq!((yaml.status, yaml.header("content-type")), (StatusCode::OK, "application/yaml"));
    assert_eq!(yaml.body, auth::openapi::YAML);
    let document = described(&service).await;
    assert_eq!(document["openapi"], "3.0.3");
    assert_eq!(document["paths"]["/"]["get"]["operationId"], "getTurnAuth");
    assert_eq!(document["paths"]["/ice"]["get"]["operationId"], "getIceAuth");
}

#[tokio::test]
async fn answers_match_the_description() {
    let service = service().await;
    let document = described(&service).await;
    for target in [
        "/?service=turn",
        "/?service=turn&ttl=60&username=alice&namespace=testnamespace",
        "/?service=turn&namespace=n",
        "/ice",
        "/ice?username=alice&iceTransportPolicy=relay&public-addr=::1",
        "/ice?iceTransportPolicy=public&namespace=n",
        "/ice?service=none",
        "/ice?ttl=0",
        "/ice?namespace=nowhere",
        "/?namespace=nowhere",
    ] {
        let answer = service.get(target).await;
        let path = target.split('?').next().unwrap();
        let status = answer.status.as_str().to_owned();
        let described = resolve(&document, &document["paths"][path]["get"]["responses"][&status]);
        let (media, expected) = described["content"].as_object().unwrap().iter().next().unwrap();
        assert!(answer.header("content-type").starts_with(media.as_str()), "{target}");
        let value =
            if media == "application/json" { answer.json() } else { Value::from(answer.body.trim_end()) };
        assert_eq!(conforms(&document, &expected["schema"], &value), Ok(()), "{target}: {value}");
    }
}

#[tokio::test]
async fn the_examples_match_the_description() {
    let document = described(&service().await).await;
    for path in ["/", "/ice"] {
        let ok = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"];
        assert_eq!(conforms(&document, &ok["schema"], &ok["example"]), Ok(()), "{path}");
    }
}

#[tokio::test]
async fn every_parameter_is_described_and_every_described_one_understood() {
    let service = service().await;
    let document = described(&service).await;
    for endpoint in [Endpoint::TurnAuth, Endpoint::IceAuth] {
        let operation = &document["paths"][endpoint.path()]["get"];
        let parameters = operation["parameters"].as_array().unwrap();
        let described: BTreeSet<_> =
            parameters.iter().map(|p| resolve(&document, p)["name"].as_str().unwrap().to_owned()).collect();
        let understood = endpoint.parameters().map(|p| p.name().to_owned()).collect();
        assert_eq!(described, understood, "{endpoint:?}");
        // Whatever it means, twice is refused, so it is looked at.
        for name in described {
            let target = format!("{}?service=turn&{name}=&{name}=", endpoint.path());
            assert_eq!(service.get(&target).await.status, StatusCode::BAD_REQUEST, "{target}");
        }
    }
}

#[tokio::test]
async fn defaults_and_bounds_are_those_of_the_service() {
    let service = service().await;
    let document = described(&service).await;
    let ttl = &document["components"]["parameters"]["ttl"]["schema"];
    assert_eq!(ttl["default"], service.turn("service=turn").await["ttl"]);
    for (bound, beyond) in [("minimum", -1), ("maximum", 1)] {
        let bound = ttl[bound].as_i64().unwrap();
        let status = async |ttl: i64| service.get(&format!("/ice?ttl={ttl}")).await.status;
        assert_eq!(status(bound).await, StatusCode::OK);
        assert_eq!(status(bound + beyond).await, StatusCode::BAD_REQUEST);
    }
    let longest = document["components"]["parameters"]["username"]["schema"]["maxLength"].as_u64().unwrap();
    assert_eq!(longest, auth::query::MAX_USER_ID_LEN as u64);
}

fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// Checks a value against the part of JSON Schema that the description uses; an unknown keyword is an error.
fn conforms(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = resolve(document, schema).as_object().ok_or("no schema")?;
    for (keyword, rule) in schema {
        let holds = match keyword.as_str() {
            "description" | "format" | "properties" => true,
            "type" => has_type(value, rule.as_str().unwrap()),
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64() >= rule.as_i64(),
            "minItems" => value.as_array().map(|items| items.len() as u64) >= rule.as_u64(),
            "pattern" => Regex::new(rule.as_str().unwrap()).unwrap().is_match(value.as_str().unwrap()),
            "required" => {
                rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "additionalProperties" => {
                value.as_object().unwrap().keys().all(|name| schema["properties"].get(name).is_some())
            }
            "items" => {
                for item in value.as_array().unwrap() {
                    conforms(document, rule, item)?;
                }
                true
            }
            unknown => return Err(format!("this test does not know the keyword {unknown}")),
        };
        if !holds {
            return Err(format!("{value} violates {keyword}: {rule}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        if let Some(schema) = schema.get("properties").and_then(|properties| properties.get(name)) {
            conforms(document, schema, member)?;
        }
    }
    Ok(())
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("this test does not know the type {other}"),
    }
}
