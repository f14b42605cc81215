//! The status page: the table of the terminal, for a browser. No script; the page reloads itself.

use std::fmt::{self, Write as _};

use gateway::{Overview, Verdict};

/// What the page shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Gateways and routes.
    pub overview: Overview,
    /// Findings, and what is wrong with the files if they cannot be used.
    pub problems: Vec<String>,
    /// Allocations alive now.
    pub allocations: usize,
    /// Whether clients are served.
    pub ready: bool,
    /// What else this process serves: a name and an address.
    pub links: Vec<(&'static str, String)>,
}

/// The style sheet, served beside the page so that the page needs no inline style.
pub(crate) const STYLE: &str = include_str!("page.css");

/// The page as HTML. Every text in it that comes from a file is escaped.
pub(crate) fn html(view: &View) -> String {
    let mut page = String::from(HEAD);
    let (class, word) = if view.ready { ("good", "ready") } else { ("bad", "not ready") };
    let _ = write!(page, "<p class=sum><span class={class}>{word}</span> ");
    let _ = write!(page, "<span>{} allocations</span></p>", view.allocations);
    problems(&mut page, &view.problems);
    gateways(&mut page, &view.overview);
    routes(&mut page, &view.overview);
    page += "<h2>Also here</h2><ul>";
    for (name, url) in &view.links {
        let _ = write!(page, "<li>{}: <a href=\"{1}\">{1}</a></li>", Escaped(name), Escaped(url));
    }
    page + "</ul></main></html>\n"
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>stunner</title>\
    <meta name=viewport content=\"width=device-width,initial-scale=1\"><meta http-equiv=refresh content=2>\
    <link rel=stylesheet href=style.css><main><h1>stunner</h1>";

fn problems(page: &mut String, problems: &[String]) {
    if problems.is_empty() {
        return;
    }
    *page += "<h2>To look at</h2><ul class=problems>";
    for problem in problems {
        let _ = write!(page, "<li>{}</li>", Escaped(problem));
    }
    *page += "</ul>";
}

fn gateways(page: &mut String, overview: &Overview) {
    *page += "<h2>Gateways</h2><table><tr><th>Gateway<th>Listener<th>Protocol<th>Address<th>Routes<th>Programmed</tr>";
    for gateway in &overview.gateways {
        for listener in &gateway.listeners {
            let address = gateway.address.as_deref().unwrap_or("none");
            let verdict = if gateway.accepted.is_true() { &listener.programmed } else { &gateway.accepted };
            let _ = write!(
                page,
                "<tr><td>{}<td>{}<td>{}<td>{} port {}<td>{}<td>{}</tr>",
                Escaped(&gateway.gateway),
                Escaped(&listener.name),
                Escaped(&listener.protocol),
                Escaped(address),
                listener.port,
                listener.attached_routes,
                Cell(verdict),
            );
        }
    }
    *page += "</table>";
}

fn routes(page: &mut String, overview: &Overview) {
    *page += "<h2>Routes</h2><table><tr><th>Route<th>Parent<th>Accepted<th>Backends resolved</tr>";
    for route in &overview.routes {
        for parent in &route.parents {
            let _ = write!(
                page,
                "<tr><td>{}<td>{}<td>{}<td>{}</tr>",
                Escaped(&route.route.key),
                Escaped(&parent.parent),
                Cell(&parent.accepted),
                Cell(&parent.resolved_refs),
            );
        }
    }
    *page += "</table>";
}

/// A verdict with a colour and, where it does not hold, its reason.
struct Cell<'v>(&'v Verdict);

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = if self.0.is_true() { "good" } else { "bad" };
        write!(f, "<span class={class}>{}</span>", Escaped(self.0))
    }
}

/// Text that means nothing but itself in HTML, in attributes as well.
struct Escaped<T>(T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '&' => f.write_str("&amp;"),
                '"' => f.write_str("&quot;"),
                '\'' => f.write_str("&#39;"),
                other => f.write_char(other),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_text_and_never_markup() {
        let view = View { problems: vec!["<script>alert('x')</script>&\"".to_owned()], ..View::default() };
        let page = html(&view);
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"), "{page}");
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn says_whether_clients_are_served() {
        let ready = View { ready: true, allocations: 3, ..View::default() };
        assert!(html(&ready).contains(">ready</span> <span>3 allocations"));
        assert!(html(&View::default()).contains(">not ready<"));
    }
}
