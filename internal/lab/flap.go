package lab

import (
	"context"
	"math/rand/v2"
	"time"
)

// FlapEvent is a change that a [Flapper] made to a port.
type FlapEvent struct {
	Port    string
	Carrier bool // whether the peer is up
	MTU     int  // new MTU of the port, or 0 if it did not change
	Err     error
}

// Flapper makes ports flap: it brings their peers down and up and toggles their MTU.
type Flapper struct {
	// Links changes the interfaces. It must not be used elsewhere during Run.
	Links LinkMaker
	// Ports are the ports to change. Their peers must initially be up.
	Ports []string
	// MTU is the normal MTU of the ports, which they must initially have and which Run restores.
	MTU int
	// Rate is the number of changes per second. It must be greater than 0.
	Rate float64
	// Seed is the random seed for choosing ports.
	Seed uint64
	// Begin, if not nil, is called from Run before each change, and Report after it.
	Begin  func(port string)
	Report func(FlapEvent)

	random  *rand.Rand
	down    map[string]bool // ports whose peer is down
	smaller map[string]bool // ports whose MTU is otherMTU
}

const (
	otherMTU = 1500
	mtuShare = 0.1 // fraction of all changes
)

// Run changes ports until ctx ends, then restores them.
func (f *Flapper) Run(ctx context.Context) {
	f.random = rand.New(rand.NewPCG(f.Seed, 0))
	f.down, f.smaller = make(map[string]bool), make(map[string]bool)
	if len(f.Ports) == 0 || f.Rate <= 0 {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(max(time.Duration(float64(time.Second)/f.Rate), time.Microsecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			f.restore()
			return
		case <-ticker.C:
			f.step()
		}
	}
}

// step changes one random port.
func (f *Flapper) step() {
	port := f.Ports[f.random.IntN(len(f.Ports))]
	if f.random.Float64() < mtuShare {
		f.toggleMTU(port)
	} else {
		f.toggleCarrier(port)
	}
}

// restore brings all peers up and restores the MTU, in the order of Ports.
func (f *Flapper) restore() {
	for _, port := range f.Ports {
		if f.down[port] {
			f.toggleCarrier(port)
		}
		if f.smaller[port] {
			f.toggleMTU(port)
		}
	}
}

func (f *Flapper) toggleCarrier(port string) {
	up := f.down[port]
	f.begin(port)
	err := f.Links.SetUp(PeerName(port), up)
	if err == nil {
		f.down[port] = !up
	}
	f.report(FlapEvent{Port: port, Carrier: !f.down[port], Err: err})
}

func (f *Flapper) toggleMTU(port string) {
	mtu := otherMTU
	if f.smaller[port] {
		mtu = f.MTU
	}
	f.begin(port)
	err := f.Links.SetMTU(port, mtu)
	if err == nil {
		f.smaller[port] = mtu == otherMTU
	}
	f.report(FlapEvent{Port: port, Carrier: !f.down[port], MTU: mtu, Err: err})
}

func (f *Flapper) begin(port string) {
	if f.Begin != nil {
		f.Begin(port)
	}
}

func (f *Flapper) report(e FlapEvent) {
	if f.Report != nil {
		f.Report(e)
	}
}
