package model

import (
	"fmt"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// modelEvent is a step of a sequence: an operation, the index of a name in modelNames or of a
// variant, and a value. Each event is valid in each state, if only as not applicable, so that a
// sequence without some of its events is a valid sequence.
type modelEvent struct {
	do   string
	n, v int
}

// String returns the event as Go.
func (e modelEvent) String() string { return fmt.Sprintf("{%q, %d, %d}", e.do, e.n, e.v) }

// modelNames are the names of interfaces. The last is not a port's name.
var modelNames = []string{"Ethernet0", "Ethernet4", "Ethernet8", "Ethernet12", "PortChannel1", "Ethernet0.10", "uplink"}

// modelOps execute an event on the switch and in the model, and report whether it was applicable.
var modelOps = map[string]func(r *modelRun, n, v int) bool{
	// Interfaces. Each function explains v.
	"create": (*modelRun).create, "delete": (*modelRun).remove, "recreate": (*modelRun).recreate,
	"reindex": (*modelRun).reindex, "rename": (*modelRun).renamePort, "swap": (*modelRun).swap,
	"up": (*modelRun).setPortUp, "peer": (*modelRun).setPeerUp, "flap": (*modelRun).flap,
	"mtu": (*modelRun).setMTU, "touch": (*modelRun).touch, "member": (*modelRun).setMember, "bridge": (*modelRun).remakeBridge,
	// Databases.
	"pop": (*modelRun).popAll, "row": (*modelRun).setRow, "config": (*modelRun).setConfig, "replace": (*modelRun).replaceConfig, "foreign": (*modelRun).foreign,
	"steal": (*modelRun).steal, "jam": (*modelRun).jam, "flag": (*modelRun).setFlag, "count": (*modelRun).setCount,
	"dpu": (*modelRun).setDPU, "logger": (*modelRun).spoilLogger,
	// Faults of the server.
	"flush": (*modelRun).flush, "save": (*modelRun).save, "die": (*modelRun).killServer, "back": (*modelRun).back,
	"pause": (*modelRun).pause, "unpause": (*modelRun).unpause, "stall": (*modelRun).stall, "cut": (*modelRun).cut,
	"scripts": (*modelRun).flushScripts, "readonly": (*modelRun).refuse, "writable": (*modelRun).accept,
	// The daemon.
	"start": (*modelRun).startDaemon, "kill": (*modelRun).killDaemon, "term": (*modelRun).stopDaemon,
	"stillborn": (*modelRun).killAfterStart, "forget": (*modelRun).loseFiles, "hold": (*modelRun).pauseDaemon,
	"release": (*modelRun).continueDaemon, "overrun": (*modelRun).overflow, "hup": (*modelRun).reload, "audit": (*modelRun).auditOnce, "drain": (*modelRun).drain,
	// The test.
	"ask":  (*modelRun).ask,
	"rest": func(r *modelRun, _, _ int) bool { return r.d != nil && !r.held && r.quiet() && r.rest() },
	"sync": func(r *modelRun, _, _ int) bool { r.awaitSync(); return true },
}

// present returns the interface with a name.
func (r *modelRun) present(n int) (name string, p *modelPort) {
	name = modelNames[n]
	return name, r.ports[name]
}

// create makes a pair of interfaces; v: 1 sets the port up, 2 its peer, 3 both.
func (r *modelRun) create(n, v int) bool { return r.createIndex(n, v, 0) }

// createIndex is create with a given interface index, unless that is 0.
func (r *modelRun) createIndex(n, v int, index int32) bool {
	r.T.Helper()
	name, p := r.present(n)
	if p != nil {
		return false
	}
	r.serial++
	p = &modelPort{peer: fmt.Sprintf("peer%d", r.serial), mtu: 1500}
	if index == 0 {
		r.NoError("create", r.Links.AddVeth(name, p.peer))
		index = r.LinkIndex(name)
	} else {
		r.NoError("create", r.addVethIndex(name, p.peer, index))
	}
	p.index = index
	r.ports[name] = p
	r.m.up[index] = false
	if v&2 != 0 {
		r.setPeerUp(n, 1)
	}
	if v&1 != 0 {
		r.setPortUp(n, 1)
	}
	return true
}

// addVethIndex makes a veth pair whose first end has the given index.
func (r *modelRun) addVethIndex(name, peer string, index int32) error {
	const vethInfoPeer = 1 // include/uapi/linux/veth.h
	b := netlinkraw.AppendHeader(nil, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, 0)
	b = netlinkraw.AppendIfinfomsg(b, unix.AF_UNSPEC, index, 0, 0)
	b = netlinkraw.AppendAttrString(b, unix.IFLA_IFNAME, name)
	b, info := netlinkraw.BeginNested(b, unix.IFLA_LINKINFO)
	b = netlinkraw.AppendAttrString(b, unix.IFLA_INFO_KIND, "veth")
	b, data := netlinkraw.BeginNested(b, unix.IFLA_INFO_DATA)
	b, other := netlinkraw.BeginNested(b, vethInfoPeer)
	b = netlinkraw.AppendIfinfomsg(b, unix.AF_UNSPEC, 0, 0, 0)
	b = netlinkraw.AppendAttrString(b, unix.IFLA_IFNAME, peer)
	b = netlinkraw.EndNested(b, other)
	b = netlinkraw.EndNested(b, data)
	b = netlinkraw.EndNested(b, info)
	netlinkraw.FinishMessage(b, 0)
	return r.kernel.Do(b)
}

// remove deletes an interface.
func (r *modelRun) remove(n, _ int) bool {
	r.T.Helper()
	name, p := r.present(n)
	if p == nil {
		return false
	}
	r.NoError("delete", r.Links.Delete(name))
	delete(r.ports, name)
	delete(r.m.up, p.index)
	return true
}

// recreate deletes an interface and makes another one with its name; v is that of create.
func (r *modelRun) recreate(n, v int) bool {
	r.T.Helper()
	return r.remove(n, 0) && r.create(n, v)
}

// reindex is recreate with the index of the deleted interface. A daemon that waits for the
// databases at its start may treat the new interface as new or as old, because only the index
// tells the two apart.
func (r *modelRun) reindex(n, v int) bool {
	r.T.Helper()
	_, p := r.present(n)
	return p != nil && !r.waiting && r.remove(n, 0) && r.createIndex(n, v, p.index)
}

// renamePort gives an interface the name with index v, which must be free. The kernel renames only
// interfaces that are down.
func (r *modelRun) renamePort(n, v int) bool {
	r.T.Helper()
	name, p := r.present(n)
	if _, taken := r.present(v); p == nil || taken != nil {
		return false
	}
	up := r.m.up[p.index]
	r.setPortUp(n, 0)
	r.rename(name, modelNames[v])
	if up {
		r.setPortUp(v, 1)
	}
	return true
}

// swap exchanges the names of two interfaces and leaves both down.
func (r *modelRun) swap(n, v int) bool {
	r.T.Helper()
	a, p := r.present(n)
	b, q := r.present(v)
	if p == nil || q == nil || p == q {
		return false
	}
	r.setPortUp(n, 0)
	r.setPortUp(v, 0)
	r.rename(a, "between")
	r.rename(b, a)
	r.rename("between", b)
	return true
}

// setPortUp sets the administrative state to v.
func (r *modelRun) setPortUp(n, v int) bool {
	r.T.Helper()
	name, p := r.present(n)
	if p == nil || r.m.up[p.index] == (v == 1) {
		return false
	}
	r.NoError("set up or down", r.Links.SetUp(name, v == 1))
	r.m.up[p.index] = v == 1
	return true
}

// setPeerUp sets the administrative state of the peer to v, and thereby the carrier.
func (r *modelRun) setPeerUp(n, v int) bool {
	r.T.Helper()
	_, p := r.present(n)
	if p == nil || p.peerUp == (v == 1) {
		return false
	}
	r.NoError("set the peer up or down", r.Links.SetUp(p.peer, v == 1))
	p.peerUp = v == 1
	return true
}

// flap sets the port down and up, or up and down, v times.
func (r *modelRun) flap(n, v int) bool {
	r.T.Helper()
	_, p := r.present(n)
	if p == nil {
		return false
	}
	for range v {
		up := r.m.up[p.index]
		r.setPortUp(n, switchtest.BoolToInt(!up))
		r.setPortUp(n, switchtest.BoolToInt(up))
	}
	return true
}

// setMTU sets the MTU to v.
func (r *modelRun) setMTU(n, v int) bool {
	r.T.Helper()
	name, p := r.present(n)
	if p == nil || p.mtu == v {
		return false
	}
	r.NoError("set the MTU", r.Links.SetMTU(name, v))
	p.mtu = v
	return true
}

// touch makes the kernel send a message without a change.
func (r *modelRun) touch(n, _ int) bool {
	r.T.Helper()
	name, p := r.present(n)
	if p != nil {
		r.serial++
		r.NoError("touch", r.Links.SetTxQueueLen(name, 2000+r.serial))
	}
	return p != nil
}

// setMember adds a port to the bridge, or removes it.
func (r *modelRun) setMember(n, v int) bool {
	r.T.Helper()
	name, p := r.present(n)
	if p == nil || p.member == (v == 1) {
		return false
	}
	if v == 1 {
		r.NoError("join the bridge", r.Links.SetMaster(name, switchtest.Bridge))
	} else {
		r.NoError("leave the bridge", r.Links.NoMaster(name))
	}
	p.member = v == 1
	return true
}

// remakeBridge deletes the bridge, which releases its members, and makes another one.
func (r *modelRun) remakeBridge(_, _ int) bool {
	r.T.Helper()
	r.NoError("delete the bridge", r.Links.Delete(switchtest.Bridge))
	for _, p := range r.ports {
		p.member = false
	}
	r.NoError("make the bridge", r.Links.AddBridge(switchtest.Bridge))
	r.NoError("set the bridge up", r.Links.SetUp(switchtest.Bridge, true))
	return true
}
