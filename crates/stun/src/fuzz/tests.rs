use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Bytes that get further than noise: attributes of known types behind a header whose length is right.
fn almost_a_message() -> impl Strategy<Value = Vec<u8>> {
    let known = (0..types::ALL.len()).prop_map(|index| types::ALL[index].0);
    let attribute = (prop_oneof![4 => known, 1 => any::<u16>()], vec(any::<u8>(), 0..40), any::<u8>());
    let header = (0..0x4000_u16, any::<[u8; 12]>());
    (header, vec(attribute, 0..8)).prop_map(|((kind, id), attributes)| {
        let mut body = Vec::new();
        for (kind, value, noise) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(&value);
            body.resize(body.len().next_multiple_of(4), noise);
        }
        let mut bytes = Vec::from(kind.to_be_bytes());
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(0x2112_A442_u32.to_be_bytes());
        bytes.extend(id);
        bytes.extend(body);
        bytes
    })
}

/// Frames one after the other, and perhaps some noise.
fn almost_a_stream() -> impl Strategy<Value = Vec<u8>> {
    let channel_data = (0x4000..0x8000_u16, vec(any::<u8>(), 0..12)).prop_map(|(channel, data)| {
        let mut bytes = Vec::from(channel.to_be_bytes());
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(&data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    });
    let noise = vec(any::<u8>(), 0..12);
    vec(prop_oneof![4 => almost_a_message(), 4 => channel_data, 1 => noise], 0..5)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_breaks_no_promise(bytes in vec(any::<u8>(), 0..200)) {
        all(&bytes);
    }

    #[test]
    fn almost_messages_break_no_promise(bytes in almost_a_message()) {
        all(&bytes);
    }

    #[test]
    fn damaged_messages_break_no_promise(
        bytes in almost_a_message(),
        hits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes;
        for (index, byte) in hits {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        all(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        all(&bytes);
    }

    #[test]
    fn almost_streams_break_no_promise(bytes in almost_a_stream()) {
        all(&bytes);
    }
}

/// A decoder nobody checks here would be a decoder nobody fuzzes.
#[test]
fn every_type_of_the_table_can_be_reached() {
    for choice in 0..types::ALL.len() {
        for len in 0..40 {
            let mut bytes = vec![0; 13 + len];
            bytes[0] = choice as u8;
            value(&bytes);
            bytes[13..].fill(1);
            value(&bytes);
        }
    }
}
