package lab

import "golang.org/x/sys/unix"

// This file implements LinkMaker for SimKernel. It returns the same errors as rtnetlink.

// AddVeth creates a veth pair. Both interfaces are down and have an MTU of 1500.
func (k *SimKernel) AddVeth(name, peer string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range []string{name, peer} {
		switch {
		case n == "" || n == "." || n == "..":
			return errnoLink("add veth", name, unix.EINVAL)
		case len(n) >= unix.IFNAMSIZ:
			return errnoLink("add veth", name, unix.ERANGE)
		case k.find(n) != nil || name == peer:
			return errnoLink("add veth", name, unix.EEXIST)
		}
	}
	// The peer is registered first (drivers/net/veth.c, veth_newlink). Then the carrier of both
	// interfaces is turned off, which counts as a link-down transition.
	b := k.addLink(peer)
	a := k.addLink(name)
	a.peer, b.peer = b, a
	k.announce(b, unix.RTM_NEWLINK)
	k.announce(a, unix.RTM_NEWLINK)
	return nil
}

func (k *SimKernel) addLink(name string) *simLink {
	k.lastIndex++
	l := &simLink{index: k.lastIndex, name: name, kind: "veth", mtu: 1500, carrierDown: 1}
	k.links[l.index] = l
	return l
}

func (k *SimKernel) find(name string) *simLink {
	for _, l := range k.links {
		if l.name == name {
			return l
		}
	}
	return nil
}

// Delete brings both interfaces of a pair down and deletes them.
func (k *SimKernel) Delete(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.find(name)
	switch {
	case l == nil:
		return errnoLink("delete link", name, unix.ENODEV)
	case l.peer == nil:
		return errnoLink("delete link", name, unix.EOPNOTSUPP)
	}
	for _, end := range []*simLink{l, l.peer} {
		k.setUp(end, false)
	}
	for _, end := range []*simLink{l, l.peer} {
		delete(k.links, end.index)
		k.announce(end, unix.RTM_DELLINK)
	}
	return nil
}

// SetUp brings an interface up or down. A pair has carrier while both interfaces are up.
func (k *SimKernel) SetUp(name string, up bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.find(name)
	if l == nil {
		return errnoLink("set link", name, unix.ENODEV)
	}
	k.setUp(l, up)
	return nil
}

func (k *SimKernel) setUp(l *simLink, up bool) {
	if l.up == up {
		return
	}
	l.up = up
	k.announce(l, unix.RTM_NEWLINK)
	if l.peer == nil {
		return
	}
	carrier := l.up && l.peer.up
	for _, end := range []*simLink{l, l.peer} {
		if end.carrier == carrier {
			continue
		}
		end.carrier = carrier
		if carrier {
			end.carrierUp++
		} else {
			end.carrierDown++
		}
		k.announce(end, unix.RTM_NEWLINK)
	}
}

// SetMTU sets the MTU of an interface in bytes. As for a veth, it must be 68 to 65535.
func (k *SimKernel) SetMTU(name string, mtu int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.find(name)
	switch {
	case l == nil:
		return errnoLink("set link", name, unix.ENODEV)
	case mtu < 68 || mtu > 65535:
		return errnoLink("set link", name, unix.EINVAL)
	case uint32(mtu) != l.mtu:
		l.mtu = uint32(mtu)
		k.announce(l, unix.RTM_NEWLINK)
	}
	return nil
}

// Rename renames an interface.
func (k *SimKernel) Rename(name, to string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.find(name)
	switch {
	case l == nil:
		return errnoLink("set link", name, unix.ENODEV)
	case to == "" || len(to) >= unix.IFNAMSIZ:
		return errnoLink("set link", name, unix.EINVAL)
	case k.find(to) != nil:
		return errnoLink("set link", name, unix.EEXIST)
	}
	l.name = to
	k.announce(l, unix.RTM_NEWLINK)
	return nil
}
