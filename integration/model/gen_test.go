package model

import (
	"math/rand/v2"

	"portsyncd/internal/switchtest"
)

// sequenceMaker writes a random sequence. It keeps a rough model of the interfaces, so that most
// events are applicable.
type sequenceMaker struct {
	*rand.Rand
	events []modelEvent
	exists [7]bool // interfaces, by name of modelNames
	member [7]bool // of the bridge
	runs   bool    // the daemon
}

// modelSequence returns the sequence of a seed.
func modelSequence(seed uint64) []modelEvent {
	g := &sequenceMaker{Rand: rand.New(rand.NewPCG(seed, 0))}
	g.begin()
	for end := 10 + g.IntN(35); len(g.events) < end; {
		g.part()
	}
	return g.events
}

func (g *sequenceMaker) add(do string, n, v int) {
	switch do {
	case "create", "recreate", "reindex":
		g.exists[n], g.member[n] = true, false
	case "delete":
		g.exists[n], g.member[n] = false, false
	case "rename":
		g.exists[n], g.exists[v] = false, true
		g.member[n], g.member[v] = false, g.member[n]
	case "member":
		g.member[n] = v == 1
	case "start":
		g.runs = true
	case "kill", "term", "drain":
		g.runs = false
	}
	g.events = append(g.events, modelEvent{do, n, v})
}

// name returns a random name, mostly of a usual port.
func (g *sequenceMaker) name() int {
	if g.IntN(3) > 0 {
		return g.IntN(4)
	}
	return g.IntN(len(modelNames))
}

// weighted is one of several random actions, chosen in proportion to its weight.
type weighted struct {
	weight int
	do     func()
}

func (g *sequenceMaker) draw(parts ...weighted) {
	sum := 0
	for _, p := range parts {
		sum += p.weight
	}
	at := g.IntN(sum)
	for _, p := range parts {
		if at -= p.weight; at < 0 {
			p.do()
			return
		}
	}
}

// perhaps does one thing in n cases.
func (g *sequenceMaker) perhaps(one, in int, do func()) {
	if g.IntN(in) < one {
		do()
	}
}

// begin adds what the start of the switch finds.
func (g *sequenceMaker) begin() {
	ports := g.IntN(4)
	for n := range ports {
		g.add("config", n, 1+g.IntN(3))
	}
	create := func() {
		for n := range ports {
			g.add("create", n, g.IntN(4))
		}
	}
	start := func() { g.add("start", 0, g.IntN(2)) }
	pop := func() { g.add("pop", 0, 0) }
	g.draw(
		weighted{6, func() { start(); pop(); create(); pop() }}, // a cold start of the service
		weighted{2, func() { // with left-over interfaces
			g.perhaps(1, 4, func() { g.add("dpu", 0, 1) })
			create()
			start()
			pop()
		}},
		weighted{2, func() { // a warm restart
			g.add("flag", g.IntN(2), 1)
			g.add("count", 0, 1)
			for n := range ports {
				g.add("row", n, 1+g.IntN(2))
			}
			create()
			start()
			pop()
		}},
		weighted{1, func() {}},
	)
}

// part adds one scenario.
func (g *sequenceMaker) part() {
	if !g.runs {
		g.perhaps(3, 4, func() { g.add("start", 0, g.IntN(2)) })
	}
	g.draw(
		weighted{30, func() { g.links(1 + g.IntN(5)); g.add("sync", 0, 0) }},
		weighted{10, func() { g.links(1 + g.IntN(3)) }},
		weighted{24, g.database},
		weighted{11, g.restart},
		weighted{8, g.held},
		weighted{6, g.serverDead},
		weighted{2, g.rowLost},
		weighted{5, g.serverPaused},
		weighted{4, g.serverRefuses},
		weighted{6, func() { g.add("flush", 0, g.IntN(4)); g.links(g.IntN(3)); g.add("pop", 0, 0) }},
		weighted{2, func() { g.add("stall", 0, 10+g.IntN(100)); g.links(1 + g.IntN(3)) }},
		weighted{3, func() { g.add("cut", 0, g.IntN(2)); g.links(g.IntN(3)) }},
		weighted{2, func() { g.add("hup", 0, g.IntN(3)) }},
		weighted{3, g.audited},
		weighted{2, func() { g.add("scripts", 0, 0) }},
	)
}

// audited has the daemon audit STATE_DB, perhaps after another process has changed rows.
func (g *sequenceMaker) audited() {
	for range g.IntN(3) {
		g.add("steal", g.name(), g.IntN(2))
	}
	g.perhaps(1, 4, func() { g.add("foreign", g.name(), 45) })
	g.add("audit", 0, 0)
}

// links adds some changes of interfaces, which the daemon may read at once.
func (g *sequenceMaker) links(count int) {
	for range count {
		n := g.name()
		if !g.exists[n] {
			g.perhaps(9, 10, func() { g.add("create", n, g.IntN(4)) })
			continue
		}
		g.draw(
			weighted{6, func() { g.add("delete", n, 0) }},
			weighted{6, func() { g.add("recreate", n, g.IntN(4)) }},
			weighted{4, func() { g.add("reindex", n, g.IntN(4)) }},
			weighted{6, func() { g.renamed(n, g.name()) }},
			weighted{7, func() { g.add("up", n, 1-g.IntN(3)/2) }},
			weighted{7, func() { g.add("peer", n, 1-g.IntN(3)/2) }},
			weighted{4, func() { g.add("flap", n, 1+g.IntN(4)) }},
			weighted{8, func() { g.add("mtu", n, 1280+g.IntN(9)) }},
			weighted{5, func() { g.add("touch", n, 0) }},
			weighted{8, func() { g.add("member", n, switchtest.BoolToInt(!g.member[n])) }},
			weighted{1, func() { g.add("bridge", 0, 0) }},
		)
	}
}

// renamed gives an interface a name, which another one may have.
func (g *sequenceMaker) renamed(n, to int) {
	switch {
	case n == to:
		g.add("touch", n, 0)
	case g.exists[to]:
		g.add("swap", n, to)
	default:
		g.add("rename", n, to)
	}
}

// database adds a change of the databases by another process.
func (g *sequenceMaker) database() {
	n := g.name()
	g.draw(
		weighted{8, func() { g.add("pop", 0, 0) }},
		weighted{8, func() { g.add("row", n, 1+g.IntN(2)) }},
		weighted{4, func() { g.add("row", n, 0) }},
		weighted{5, func() { g.add("config", n, 1+g.IntN(3)) }},
		weighted{1, func() { g.add("config", n, 0) }},
		weighted{1, func() { g.add("replace", n, 1+g.IntN(3)) }},
		weighted{5, func() { g.add("foreign", n, g.IntN(100)) }},
		weighted{2, func() { g.add("foreign", 5, 0) }},
		weighted{5, func() { g.add("steal", n, g.IntN(2)); g.perhaps(1, 2, func() { g.add("touch", n, 0) }) }},
		weighted{3, func() {
			g.add("jam", n, 0)
			g.perhaps(2, 3, func() { g.add("touch", n, 0) })
			g.perhaps(1, 2, func() { g.add("ask", 0, 0) })
			g.links(g.IntN(3))
			g.add("steal", n, 0)
		}},
		weighted{1, func() { g.add("dpu", 0, g.IntN(2)) }},
		weighted{1, func() { g.add("logger", 0, g.IntN(2)) }},
	)
}

// meanwhile adds what happens during a fault.
func (g *sequenceMaker) meanwhile() {
	for range g.IntN(3) {
		g.draw(weighted{4, func() { g.links(1 + g.IntN(3)) }}, weighted{1, g.database})
	}
}

// restart ends the daemon and starts it again.
func (g *sequenceMaker) restart() {
	g.perhaps(1, 2, func() { g.links(1 + g.IntN(3)) })
	g.draw(
		weighted{1, func() { g.add("kill", 0, g.IntN(2)) }},
		weighted{1, func() { g.add("term", 0, g.IntN(2)) }},
	)
	g.meanwhile()
	g.draw(
		weighted{4, func() {}},
		weighted{1, func() { g.add("flag", g.IntN(2), g.IntN(4)) }},
		weighted{1, func() { g.add("count", 0, g.IntN(4)) }},
		weighted{3, func() { g.add("flag", g.IntN(2), 1); g.add("count", 0, 1+g.IntN(3)) }},
		weighted{1, func() { g.add("dpu", 0, g.IntN(2)) }},
		weighted{1, func() { g.add("forget", 0, 0) }},
		weighted{2, func() { g.add("flush", 0, g.IntN(3)) }}, // as by a cold start of the service
		weighted{1, func() { g.add("stillborn", 0, g.IntN(25)); g.meanwhile() }},
	)
	g.add("start", 0, g.IntN(2))
}

// held pauses the daemon for a while.
func (g *sequenceMaker) held() {
	g.add("hold", 0, 0)
	g.meanwhile()
	g.draw(
		weighted{3, func() { g.add("overrun", 0, 0); g.links(1 + g.IntN(4)); g.meanwhile() }},
		weighted{1, func() { g.add("flush", 0, g.IntN(4)); g.meanwhile() }},
		weighted{2, func() {}},
	)
	g.perhaps(1, 10, func() { g.add("kill", 0, 0); g.add("start", 0, g.IntN(2)) })
	g.add("release", 0, 0)
	g.perhaps(1, 2, func() { g.add("ask", 0, 0) })
}

// serverDead kills the server. It returns with what it saved just now or earlier, or empty.
func (g *sequenceMaker) serverDead() {
	g.draw(
		weighted{2, func() { g.add("save", 0, 0) }},
		weighted{1, func() {}},
		weighted{1, func() { g.add("save", 0, 0); g.meanwhile(); g.database() }},
	)
	g.add("die", 0, 0)
	g.links(g.IntN(4))
	g.perhaps(1, 2, func() { g.add("ask", 0, 0); g.links(g.IntN(3)) })
	g.draw(
		weighted{4, func() {}},
		weighted{1, func() { g.add("kill", 0, 0); g.links(g.IntN(3)); g.add("start", 0, g.IntN(2)); g.links(g.IntN(4)) }},
		weighted{1, func() { g.add("term", 0, 0); g.add("start", 0, g.IntN(2)); g.links(g.IntN(4)) }},
		weighted{1, func() { g.add("hold", 0, 0); g.links(1 + g.IntN(3)) }},
	)
	g.perhaps(1, 2, func() { g.add("ask", 0, 0) })
	g.add("back", 0, 0)
	g.perhaps(1, 8, func() { g.add("release", 0, 0) })
	g.perhaps(1, 2, func() { g.add("pop", 0, 0) })
}

// rowLost restarts the server without a port that was added at run time.
func (g *sequenceMaker) rowLost() {
	n := g.name()
	g.add("save", 0, 0)
	g.add("row", n, 1)
	g.add("create", n, 3)
	g.add("touch", n, 0)
	g.add("die", 0, 0)
	g.add("back", 0, 0)
	g.perhaps(1, 2, func() { g.add("touch", n, 0) })
	g.add("row", n, 1)
}

// serverPaused pauses the server for a while, with pending writes.
func (g *sequenceMaker) serverPaused() {
	g.perhaps(1, 4, func() { g.add("save", 0, 0) })
	g.add("pause", 0, 0)
	g.links(1 + g.IntN(5))
	g.perhaps(2, 3, func() { g.add("ask", 0, g.IntN(2)) })
	g.draw(
		weighted{30, func() { g.add("unpause", 0, 0) }},
		weighted{1, func() { g.add("unpause", 0, 1) }},
		weighted{6, func() { g.add("die", 0, 0); g.links(g.IntN(3)); g.add("back", 0, 0) }},
	)
}

// serverRefuses makes the server refuse writes for a while, with pending writes.
func (g *sequenceMaker) serverRefuses() {
	g.add("readonly", 0, 0)
	g.links(1 + g.IntN(4))
	g.add("ask", 0, 0)
	g.perhaps(1, 2, func() { g.links(1 + g.IntN(3)); g.add("ask", 0, 0) })
	g.draw(
		weighted{4, func() {}},
		weighted{1, func() { g.add("kill", 0, 0); g.links(g.IntN(3)) }},
		weighted{1, func() { g.add("drain", 0, 0); g.links(g.IntN(3)) }},
	)
	g.add("writable", 0, 0)
	g.perhaps(1, 2, func() { g.add("ask", 0, 0) })
}
