//! Sets of addresses, as ranges and as prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of one family from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    is_v6: bool,
    first: u128,
    last: u128,
}

impl Range {
    /// Reads `A`, `A-B` or `A/LENGTH`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some((address, length)) = text.split_once('/') {
            let (is_v6, address) = bits(address)?;
            let width = width(is_v6);
            let length: u32 = length.parse().ok().filter(|length| *length <= width)?;
            let hosts = if length == 0 { mask(is_v6) } else { mask(is_v6) >> length };
            return Some(Self { is_v6, first: address & !hosts, last: address | hosts });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ((is_v6, first), (is_also_v6, last)) = (bits(first.trim())?, bits(last.trim())?);
        (is_v6 == is_also_v6 && first <= last).then_some(Self { is_v6, first, last })
    }

    /// Reads a text that is part of this program.
    pub(super) fn known(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|| unreachable!("{text} is a range"))
    }
}

/// Addresses of both families, as ranges that do not touch, in order.
#[derive(Debug)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    pub(super) fn everything() -> Self {
        Self([false, true].map(|is_v6| Range { is_v6, first: 0, last: mask(is_v6) }).into())
    }

    pub(super) fn remove(&mut self, gone: Range) {
        let kept = self.0.iter().flat_map(|range| {
            let is_apart = range.is_v6 != gone.is_v6 || gone.last < range.first || range.last < gone.first;
            if is_apart {
                return [Some(*range), None];
            }
            let before = (range.first < gone.first).then(|| Range { last: gone.first - 1, ..*range });
            let after = (gone.last < range.last).then(|| Range { first: gone.last + 1, ..*range });
            [before, after]
        });
        self.0 = kept.flatten().collect();
    }

    pub(super) fn add(&mut self, added: Range) {
        self.remove(added);
        self.0.push(added);
        self.0.sort_by_key(|range| (range.is_v6, range.first));
    }

    /// The fewest prefixes that make up each range.
    pub(super) fn prefixes(&self) -> Vec<String> {
        let mut joined: Vec<Range> = Vec::new();
        for range in &self.0 {
            match joined.last_mut() {
                Some(last) if last.is_v6 == range.is_v6 && last.last.checked_add(1) == Some(range.first) => {
                    last.last = range.last;
                }
                _ => joined.push(*range),
            }
        }
        joined.into_iter().flat_map(split).collect()
    }
}

/// From the left, the largest block that begins where the rest does and does not end after it.
fn split(range: Range) -> Vec<String> {
    let (mut prefixes, width) = (Vec::new(), width(range.is_v6));
    let mut first = range.first;
    loop {
        let aligned = if first == 0 { width } else { first.trailing_zeros().min(width) };
        let block =
            |bits: u32| mask(range.is_v6) >> (width - bits).min(127) >> u32::from(width - bits == 128);
        let bits = (0..=aligned).rev().find(|bits| block(*bits) <= range.last - first).unwrap_or(0);
        prefixes.push(format!("{}/{}", address(range.is_v6, first), width - bits));
        match first.checked_add(block(bits)).and_then(|last| last.checked_add(1)) {
            Some(next) if next <= range.last => first = next,
            _ => return prefixes,
        }
    }
}

const fn width(is_v6: bool) -> u32 {
    if is_v6 { 128 } else { 32 }
}

const fn mask(is_v6: bool) -> u128 {
    if is_v6 { u128::MAX } else { u32::MAX as u128 }
}

fn bits(text: &str) -> Option<(bool, u128)> {
    match text.parse().ok()? {
        IpAddr::V4(ip) => Some((false, ip.to_bits().into())),
        IpAddr::V6(ip) => Some((true, ip.to_bits())),
    }
}

fn address(is_v6: bool, bits: u128) -> IpAddr {
    if is_v6 { Ipv6Addr::from_bits(bits).into() } else { Ipv4Addr::from_bits(bits as u32).into() }
}
