//! Whom the allocation may reach: permissions and channels, and when they have to be refreshed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use hashbrown::HashMap;
use stun::ChannelNumber;

use super::CHANNELS;
use super::deadlines::{Deadline, DeadlineReason, renewal};
use super::request::Purpose;
use crate::time::{CHANNEL_LIFETIME, PERMISSION_LIFETIME};

#[derive(Default)]
pub(super) struct Peers {
    permissions: BTreeMap<IpAddr, Standing>,
    /// The channel of number `n` above the first is the `n`th.
    channels: Vec<Channel>,
    by_peer: HashMap<SocketAddr, ChannelNumber, foldhash::fast::RandomState>,
}

struct Channel {
    peer: SocketAddr,
    standing: Standing,
}

/// What the server thinks of a wish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Not asked, or not answered yet.
    Wanted,
    Granted {
        renew_at: Instant,
    },
    /// Granted, and asked for again.
    Renewing,
    Refused,
}

impl Standing {
    const fn is_granted(self) -> bool {
        matches!(self, Self::Granted { .. } | Self::Renewing)
    }

    fn due(self) -> Option<Instant> {
        match self {
            Self::Granted { renew_at } => Some(renew_at),
            Self::Wanted | Self::Renewing | Self::Refused => None,
        }
    }

    /// Gives whether it was not granted before.
    fn grant(&mut self, renew_at: Instant) -> bool {
        !std::mem::replace(self, Self::Granted { renew_at }).is_granted()
    }

    /// Whether to ask for it, again after a refusal.
    fn want(&mut self) -> bool {
        let ask = *self == Self::Refused;
        if ask {
            *self = Self::Wanted;
        }
        ask
    }
}

impl Peers {
    /// Whether that has to be asked for.
    pub(super) fn want_permission(&mut self, peer: IpAddr) -> bool {
        if let Some(standing) = self.permissions.get_mut(&peer) {
            return standing.want();
        }
        self.permissions.insert(peer, Standing::Wanted);
        true
    }

    /// The channel to ask for, if one has to be asked for and is left.
    pub(super) fn want_channel(&mut self, peer: SocketAddr) -> Option<ChannelNumber> {
        if let Some(&channel) = self.by_peer.get(&peer) {
            return self.channel_mut(channel)?.standing.want().then_some(channel);
        }
        let number = u16::try_from(self.channels.len()).ok()?.checked_add(*CHANNELS.start())?;
        let channel = ChannelNumber::new(number).filter(|_| CHANNELS.contains(&number))?;
        self.channels.push(Channel { peer, standing: Standing::Wanted });
        self.by_peer.insert(peer, channel);
        Some(channel)
    }

    /// Everything that is not granted yet.
    pub(super) fn wanted(&self) -> Vec<Purpose> {
        let permissions = self.permissions.iter().filter(|(_, standing)| **standing == Standing::Wanted);
        let channels = self
            .by_peer
            .iter()
            .filter(|(_, channel)| self.channel(**channel).is_some_and(|it| it.standing == Standing::Wanted));
        let mut channels: Vec<_> = channels.map(|(&peer, &channel)| (channel, peer)).collect();
        channels.sort_unstable();
        let permissions = permissions.map(|(&ip, _)| Purpose::Permit(ip));
        permissions.chain(channels.into_iter().map(|(channel, peer)| Purpose::Bind(peer, channel))).collect()
    }

    /// Gives whether that is news.
    pub(super) fn permitted(&mut self, peer: IpAddr, now: Instant) -> bool {
        let renew_at = renewal(PERMISSION_LIFETIME, now);
        self.permissions.get_mut(&peer).is_some_and(|standing| standing.grant(renew_at))
    }

    /// Gives whether that is news.
    pub(super) fn bound(&mut self, channel: ChannelNumber, now: Instant) -> bool {
        let renew_at = renewal(CHANNEL_LIFETIME, now);
        self.channel_mut(channel).is_some_and(|it| it.standing.grant(renew_at))
    }

    pub(super) fn refused_permission(&mut self, peer: IpAddr) {
        if let Some(standing) = self.permissions.get_mut(&peer) {
            *standing = Standing::Refused;
        }
    }

    pub(super) fn refused_channel(&mut self, channel: ChannelNumber) {
        if let Some(it) = self.channel_mut(channel) {
            it.standing = Standing::Refused;
        }
    }

    pub(super) fn is_permitted(&self, peer: IpAddr) -> bool {
        self.permissions.get(&peer).is_some_and(|standing| standing.is_granted())
    }

    /// The channel on which a peer can be reached now.
    pub(super) fn channel_to(&self, peer: SocketAddr) -> Option<ChannelNumber> {
        let channel = *self.by_peer.get(&peer)?;
        self.channel(channel).filter(|it| it.standing.is_granted())?;
        Some(channel)
    }

    /// Who sends on a channel. The server may use it before its answer to the binding has arrived.
    pub(super) fn on_channel(&self, channel: ChannelNumber) -> Option<SocketAddr> {
        self.channel(channel).map(|it| it.peer)
    }

    /// Something that has to be asked for again by now.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Purpose> {
        let is_due = |standing: &Standing| standing.due().is_some_and(|at| at <= now);
        for (ip, standing) in &mut self.permissions {
            if is_due(standing) {
                *standing = Standing::Renewing;
                return Some(Purpose::Permit(*ip));
            }
        }
        for (number, it) in CHANNELS.zip(&mut self.channels) {
            if is_due(&it.standing) {
                it.standing = Standing::Renewing;
                return ChannelNumber::new(number).map(|channel| Purpose::Bind(it.peer, channel));
            }
        }
        None
    }

    pub(super) fn due(&self) -> Option<Deadline> {
        let permissions = self.permissions.values().filter_map(|standing| standing.due());
        let channels = self.channels.iter().filter_map(|it| it.standing.due());
        let permissions = permissions.map(|at| Deadline::new(at, DeadlineReason::Permission));
        let channels = channels.map(|at| Deadline::new(at, DeadlineReason::Channel));
        permissions.chain(channels).min_by_key(|deadline| deadline.at)
    }

    fn channel(&self, channel: ChannelNumber) -> Option<&Channel> {
        self.channels.get(usize::from(channel.get().checked_sub(*CHANNELS.start())?))
    }

    fn channel_mut(&mut self, channel: ChannelNumber) -> Option<&mut Channel> {
        self.channels.get_mut(usize::from(channel.get().checked_sub(*CHANNELS.start())?))
    }
}
