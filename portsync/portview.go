package portsync

import (
	"sync/atomic"
	"time"
)

// PortView is the state of one port. It is encoded as JSON in /ports and /status.
//
// A new member of PortView also needs a field in publishedPort and one line in each of the two
// methods of publishedPort.
type PortView struct {
	Name        string     `json:"name"`
	NameHex     string     `json:"name_hex,omitempty"` // bytes of Name in hexadecimal; set in JSON if Name is not UTF-8
	Present     bool       `json:"present"`            // State is "present"
	InitPending bool       `json:"init_pending"`       // PortInitDone waits for the port
	State       string     `json:"state"`              // "present", "pending" or "absent": see PortState
	Written     bool       `json:"written"`            // Redis has acknowledged the write of this state
	Reason      string     `json:"reason,omitempty"`   // why STATE_DB has no row of the port, or one that is out of date: lack.code
	Configured  bool       `json:"configured"`         // the port is in CONFIG_DB
	Admin       string     `json:"admin,omitempty"`    // "up" or "down"; "" if there is no interface
	Oper        string     `json:"oper,omitempty"`     // likewise
	MTU         int64      `json:"mtu,omitempty"`      // in bytes; 0 if there is no interface
	Index       int64      `json:"ifindex,omitempty"`  // 0 if there is no interface
	CarrierUp   int64      `json:"carrier_up"`         // link-up transitions counted by the kernel
	CarrierDown int64      `json:"carrier_down"`       // link-down transitions counted by the kernel
	LastChange  *time.Time `json:"last_change"`        // nil if it is unknown: before the initial sync, and not recorded
	Penalty     float64    `json:"penalty"`            // current flap penalty
	Flapping    bool       `json:"flapping"`           // the penalty exceeds the threshold; updates are not suppressed
	PortInfo               // attributes from CONFIG_DB
}

// publishedPort is the state of a port that other goroutines may read. The loop writes it. Fields
// may be from different moments, but each field is a value that the port had.
type publishedPort struct {
	name         string
	state        atomic.Int64 // a PortState
	configured   atomic.Bool
	initPending  atomic.Bool
	written      atomic.Bool
	admin, oper  atomic.Bool
	index        atomic.Int64 // 0 if there is no interface
	mtu          atomic.Int64
	up, down     atomic.Int64 // carrier transitions counted by the kernel
	changedAt    atomic.Int64 // on the loop's clock, negative before the start; 0 if unknown
	pendingSince atomic.Int64 // on the loop's clock

	lack   atomic.Int64             // a lack
	info   atomic.Pointer[PortInfo] // attributes from CONFIG_DB; nil if unknown
	*flaps                          // shared by all interfaces with this name
	gone   bool                     // the port is no longer listed; owned by the loop
}

// publish stores the state of p. why is the result of State.lackOf.
func (v *publishedPort) publish(p *Port, why lack) {
	exists := p.Index != 0
	setFlag(&v.configured, p.Configured)
	setFlag(&v.initPending, p.InitPending)
	setFlag(&v.written, p.written())
	setFlag(&v.admin, exists && p.Admin)
	setFlag(&v.oper, exists && p.Oper)
	setNumber(&v.index, int64(p.Index))
	setNumber(&v.mtu, int64(p.MTU))
	setNumber(&v.up, int64(p.CarrierUp))
	setNumber(&v.down, int64(p.CarrierDown))
	setNumber(&v.changedAt, p.lastChange())
	setNumber(&v.pendingSince, p.pendingSince)
	setNumber(&v.lack, int64(why))
	if v.info.Load() != p.info {
		v.info.Store(p.info)
	}
	setNumber(&v.state, int64(p.state(why)))
}

// read returns the state of the port at now, on the loop's clock. It may be called from any
// goroutine.
func (v *publishedPort) read(c clock, now int64) PortView {
	penalty := v.currentPenalty()
	state := PortState(v.state.Load())
	p := PortView{
		Name: v.name, State: state.String(), Present: state == PortPresent, Written: v.written.Load(),
		Configured: v.configured.Load(), InitPending: v.initPending.Load(), LastChange: c.moment(v.changedAt.Load()),
		Reason: lack(v.lack.Load()).code(), Penalty: penalty.At(now), Flapping: penalty.Flapping(now),
	}
	if info := v.info.Load(); info != nil {
		p.PortInfo = *info
	}
	if p.Index = v.index.Load(); p.Index != 0 {
		p.Admin, p.Oper = status(v.admin.Load()), status(v.oper.Load())
		p.MTU = v.mtu.Load()
		p.CarrierUp, p.CarrierDown = v.up.Load(), v.down.Load()
	}
	return p
}

// present reports whether the port is PortPresent.
func (v *publishedPort) present() bool { return PortState(v.state.Load()) == PortPresent }
