package http

import (
	"fmt"
	"time"

	"portsyncd/internal/switchtest"
)

// checkPortPage opens the page of a port by a click on the front panel, and those of a port with a
// harmful name and of an unknown port by their addresses.
func (b *browser) checkPortPage(sw *switchtest.Switch, client *switchtest.Client) {
	name := switchtest.PortName(7)
	b.visit(client.Base + "/")
	b.eval(nil, fmt.Sprintf(`[...document.querySelectorAll(".cells a")].find(e => e.textContent.includes(%q)).click()`, name))
	b.until("the page of "+name, fmt.Sprintf(`location.pathname === "/ports/%s" && document.querySelector("h1")?.textContent === %q`, name, name))
	b.until("the state", `document.querySelector(".summary b").textContent === "down"`)
	b.until("the event", `[...document.querySelectorAll(".events li")].some(e => e.textContent.includes("link down"))`)
	b.until("the plot", `document.querySelector("#main svg.plot .area.down")`)
	b.checkLooks("port")
	sw.NoError("set a peer up", sw.Links.SetUp(switchtest.PeerName(name), true))
	b.until("the page refreshes itself", `document.querySelector(".summary b").textContent === "up"`)
	b.eval(nil, `document.querySelector("[rel=next]").click()`)
	b.until("the next port", fmt.Sprintf(`location.pathname === "/ports/%s"`, switchtest.PortName(8)))

	b.visit(client.Base + "/")
	b.eval(nil, `[...document.querySelectorAll(".ports tbody a")].find(e => e.textContent.includes("<b>")).click()`)
	b.until("the page of "+foreignPort, fmt.Sprintf(`document.querySelector("h1")?.textContent === %q && !document.querySelector("h1 b")`, foreignPort))

	lines := b.console.Len()
	if a := client.Request("GET", "/ports/Ethernet%3Cb%3E"); a.Code != 404 || a.Body != "port not found\n" {
		b.t.Errorf("an unknown port: status %d with %q", a.Code, a.Body)
	}
	if more, _ := b.console.From(lines); len(more) > 0 {
		b.t.Errorf("browser console: %q", more)
	}
}

// stormPorts is the number of ports that flap in checkStorm.
const stormPorts = 8

// checkStorm checks the pages while ports flap.
func (b *browser) checkStorm(sw *switchtest.Switch, client *switchtest.Client) {
	quit, ended := make(chan struct{}), make(chan struct{})
	links := switchtest.DialLinks(b.t)
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-time.After(5 * time.Millisecond):
				links.SetUp(switchtest.PeerName(switchtest.PortName(16+i%stormPorts)), i/stormPorts%2 == 1)
			}
		}
	}()
	defer func() {
		close(quit)
		<-ended
		for i := range stormPorts {
			sw.NoError("set a peer up", sw.Links.SetUp(switchtest.PeerName(switchtest.PortName(16+i)), true))
		}
	}()
	b.visit(client.Base + "/")
	b.until("flapping ports", fmt.Sprintf(`document.querySelectorAll(".cells > .flapping").length === %d`, stormPorts))
	b.until("a merged event", `[...document.querySelectorAll(".events li")].some(e => /flapped \d+ times/.test(e.textContent))`)
	b.checkLooks("storm")
	b.visit(client.Base + "/ports/" + switchtest.PortName(17))
	b.until("the plot of the storm", `document.querySelector("#main svg.plot .area.flapping")`)
	b.checkLooks("port-storm")
}

// checkOutage checks the pages while Redis is stopped.
func (b *browser) checkOutage(sw *switchtest.Switch, redis *switchtest.RedisServer, client *switchtest.Client) {
	sw.RestartRedis(redis, func() {
		b.visit(client.Base + "/")
		b.until("the outage", `/^daemon: unhealthy, score \d+ of 100/.test(document.querySelector(".summary p").textContent)
			&& document.querySelector(".summary + .reasons").textContent.includes("redis")`)
		b.until("the event", `document.querySelector(".events").textContent.includes("redis lost")`)
		b.checkLooks("outage")
	})
	client.AwaitCode("/healthz", 200)
	b.visit(client.Base + "/") // at once, since the page fetches less often from a slow machine
	b.until("the daemon is in sync again", `document.querySelector(".summary b").textContent === "in sync"`)
}
