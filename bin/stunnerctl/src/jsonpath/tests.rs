use serde_json::{Value, json};

use super::{Segment, Template};

fn document() -> Value {
    json!({
        "name": "gw", "id": 7, "ok": true, "none": [],
        "a": { "b": "deep", "x.y": "dotted" },
        "list": [
            { "name": "first", "port": 1, "tags": ["p", "q"] },
            { "name": "second", "port": 2, "tags": [] },
            { "name": "third }", "port": 3 },
        ],
    })
}

fn render(template: &str) -> Result<String, String> {
    let template: Template = template.parse().map_err(|error| format!("{error:?}"))?;
    template.render(&document()).map_err(|error| error.to_string())
}

#[test]
fn c11_text_and_expressions_alternate() {
    let template: Template = "Hello {.name}, your ID is {.id}!".parse().unwrap();
    assert_eq!(template.segments.len(), 5);
    assert!(matches!(template.segments[2], Segment::Text(ref text) if text == ", your ID is "));
    assert_eq!(render("Hello {.name}, your ID is {.id}!").unwrap(), "Hello gw, your ID is 7!");
}

#[test]
fn c11_relaxed_forms_mean_the_same() {
    for template in
        ["{name}", "{.name}", "name", ".name", "{ .name }", "{$.name}", "{@.name}", "$.name", "['name']"]
    {
        assert_eq!(render(template).unwrap(), "gw", "{template}");
    }
    for template in ["a.b", "{a.b}", ".a.b", "{.a['b']}", "{.a.[\"b\"]}"] {
        assert_eq!(render(template).unwrap(), "deep", "{template}");
    }
    assert_eq!(render(r"{.a.x\.y}").unwrap(), "dotted");
    for template in [
        "{}",
        "",
        "{ }",
        "{.a",
        "{.a[0}",
        "{.a['b}",
        "{end}",
        "{range .list[*]}",
        "{.a b}",
        "{'a'b}",
        "{.list[x]}",
    ] {
        assert!(render(template).is_err(), "{template}");
    }
}

#[test]
fn c11_lists_have_indices_slices_and_wildcards() {
    let table = [
        ("{.list[0].name}", "first"),
        ("{.list[-1].port}", "3"),
        ("{.list[*].port}", "123"),
        ("{.list.*.port}", "123"),
        ("{.list[0,2].port}", "13"),
        ("{.list[0:2].port}", "12"),
        ("{.list[1:].port}", "23"),
        ("{.list[::2].port}", "13"),
        ("{.list[-2:].port}", "23"),
        ("{.list[5:].port}", "<none>"),
        ("{.none[*]}", "<none>"),
        ("{.list[0]['name','port']}", "first1"),
        ("{..name}", "gwfirstsecondthird }"),
        ("{.nowhere..name}", "error"),
        ("{..nowhere}", "<none>"),
        ("{.list[0]}", r#"{"name":"first","port":1,"tags":["p","q"]}"#),
        ("{.ok}{.list[0].tags}", r#"true["p","q"]"#),
    ];
    for (template, expected) in table {
        match render(template) {
            Ok(text) => assert_eq!(text, expected, "{template}"),
            Err(_) => assert_eq!(expected, "error", "{template}"),
        }
    }
}

#[test]
fn c11_filters_choose() {
    let table = [
        (r#"{.list[?(@.name=="second")].port}"#, "2"),
        (r#"{.list[?(@.name == 'third }')].port}"#, "3"),
        ("{.list[?(@.port>1)].name}", "secondthird }"),
        ("{.list[?(@.port <= 2)].port}", "12"),
        ("{.list[?(@.port != 2)].port}", "13"),
        ("{.list[?(@.tags)].port}", "12"),
        ("{.list[?(@.port == $.id)].name}", "<none>"),
        ("{.list[?(@.port < $.id)].port}", "123"),
        (r#"{.list[?(@.tags[0]=="p")].port}"#, "1"),
    ];
    for (template, expected) in table {
        assert_eq!(render(template).unwrap(), expected, "{template}");
    }
    assert!(render("{.list[?@.port]}").is_err() && render("{.list[?(@.port == x)]}").is_err());
}

#[test]
fn c11_loops_repeat() {
    let template = r#"{range .list[*]}{.name}:{range .tags[*]}[{@}]{end}{"\n"}{end}{.id}"#;
    let without_third = template.replace("[*]}{.name}", "[0:2]}{.name}");
    assert_eq!(render(&without_third).unwrap(), "first:[p][q]\nsecond:\n7");
    assert!(render(template).unwrap_err().contains("tags is not found"));
    assert_eq!(render("{range .list[*]}{.port}{','}{$.id} {end}").unwrap(), "1,7 2,7 3,7 ");
}

#[test]
fn c11_a_missing_field_is_an_error() {
    for template in
        ["{.nothing}", "{.a.nothing}", "{.list[7]}", "{.list.name}", "{.name[0]}", "{.list[*].tags}"]
    {
        assert!(render(template).is_err(), "{template}");
    }
    assert_eq!(render("{.nothing}").unwrap_err(), "nothing is not found");
}
