package http

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// foreignPort is a name that would be harmful if a page took it as markup.
const foreignPort = `Ethernet<b>&"'`

// pagePorts is the number of ports of a large switch.
const pagePorts = 511 // and foreignPort

// TestPage checks the page of a daemon with 512 ports on real links in Chromium.
func TestPage(t *testing.T) {
	needBrowser(t)
	sw, redis := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(pagePorts)
	d := sw.StartReady()
	b := startBrowser(t, sw.Dir)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	t.Run("pending", func(t *testing.T) {
		b := b.with(t)
		b.visit(client.Base + "/")
		b.until("all ports pending", fmt.Sprintf(`document.querySelectorAll(".cells > .pending").length === %d`, pagePorts))
		b.checkLooks("pending")
	})
	sw.AddInterfaces(pagePorts)
	sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+foreignPort, "lanes", "8")
	sw.AddPort(foreignPort)
	switchtest.Eventually(t, browserTimeout, func() string {
		for _, p := range ports(client) {
			if p.Oper != "up" {
				return p.Name + " is not up"
			}
		}
		return ""
	})

	begin := time.Now()
	b.visit(client.Base + "/")
	t.Logf("the page was loaded after %v", time.Since(begin).Round(time.Millisecond))
	b.until("all ports up", fmt.Sprintf(`document.querySelectorAll(".cells > .up").length === %d`, pagePorts+1))
	t.Run("ports", func(t *testing.T) { b.with(t).checkPorts() })
	t.Run("updates", func(t *testing.T) { b.with(t).checkUpdates(sw) })
	t.Run("filter", func(t *testing.T) { b.with(t).checkFilter() })
	t.Run("keyboard", func(t *testing.T) { b.with(t).checkKeyboard() })
	t.Run("looks", func(t *testing.T) { b.with(t).checkLooks("page") })
	t.Run("port", func(t *testing.T) { b.with(t).checkPortPage(sw, client) })
	t.Run("storm", func(t *testing.T) { b.with(t).checkStorm(sw, client) })
	t.Run("outage", func(t *testing.T) { b.with(t).checkOutage(sw, redis, client) })
	t.Run("alone", func(t *testing.T) {
		if lines := b.consoleLines(); len(lines) > 0 {
			t.Errorf("browser console: %q", lines)
		}
		requests, _ := b.requests.From(0)
		for _, url := range requests {
			if url != client.Base+"/" && !strings.HasPrefix(url, client.Base+"/ports/") && url != "data:," {
				t.Errorf("a request for %s", url)
			}
		}
		t.Logf("%d requests", len(requests))
	})
	t.Run("stale", func(t *testing.T) {
		b := b.with(t)
		d.Cmd.Process.Kill()
		b.until("the page says that it is out of date", `!document.getElementById("stale").hidden`)
	})
	t.Run("report", func(t *testing.T) { b.with(t).checkReport(sw) })
}

// with returns the browser for a subtest.
func (b *browser) with(t *testing.T) *browser {
	b.t = t
	return b
}

// checkPorts compares the front panel and the table with the ports' names.
func (b *browser) checkPorts() {
	var cells, rows []string
	b.eval(&cells, `[...document.querySelectorAll(".cells b")].map(e => e.textContent)`)
	b.eval(&rows, `[...document.querySelectorAll(".ports tbody th")].map(e => e.textContent)`)
	want := make([]string, 0, pagePorts+1)
	for _, p := range kernelPorts(b.t) {
		want = append(want, p.Name)
	}
	for what, got := range map[string][]string{"cells": cells, "rows": rows} {
		if len(got) != len(want) {
			b.t.Errorf("%d %s, want %d", len(got), what, len(want))
			continue
		}
		for _, name := range want {
			if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+name+"\n") {
				b.t.Errorf("no %q among %s", name, what)
			}
		}
	}
	var inner int
	if b.eval(&inner, `document.querySelectorAll(".cells b b, .ports th b").length`); inner != 0 {
		b.t.Error("a port's name became markup")
	}
}

// checkUpdates takes a link down. The page must show that without a reload, and keep what its
// reader has opened and focused.
func (b *browser) checkUpdates(sw *switchtest.Switch) {
	b.eval(nil, `window.mark = 1; document.querySelector("#panel details").open = true;
		window.cell = document.querySelectorAll(".cells a")[3]; cell.focus()`)
	name := switchtest.PortName(7)
	sw.NoError("set a peer down", sw.Links.SetUp(switchtest.PeerName(name), false))
	down := `[...document.querySelectorAll(".cells > .down b")].map(e => e.textContent).join() === ` + fmt.Sprintf("%q", name)
	took := b.until(name+" is down on the page", down)
	b.t.Logf("a link that went down was on the page after %v", took.Round(time.Millisecond))
	b.until("the summary counts it", fmt.Sprintf(`document.querySelector(".summary p + p").textContent.startsWith("ports: %d of %d up 1 down")`, pagePorts, pagePorts+1))
	b.until("the event", fmt.Sprintf(`[...document.querySelectorAll(".events li")].some(e => e.textContent.includes("%s link down"))`, name))
	var kept bool
	b.eval(&kept, `window.mark === 1 && document.querySelector("#panel details").open && document.activeElement === window.cell && window.cell.isConnected`)
	if !kept {
		b.t.Error("the page was reloaded, or lost its opened or focused elements")
	}
	b.eval(nil, `document.querySelector("#panel details").open = false; document.activeElement.blur()`)

	b.eval(nil, `document.getElementById("pause").click()`)
	b.until("the page is paused", `document.getElementById("pause").getAttribute("aria-pressed") === "true"`)
	n := b.requests.Len()
	switchtest.Consistently(b.t, 3*time.Second, func() string {
		if b.requests.Len() > n {
			return "a request while the page is paused"
		}
		return ""
	})
	b.eval(nil, `document.getElementById("pause").click()`)
	switchtest.Eventually(b.t, browserTimeout, func() string {
		if b.requests.Len() == n {
			return "no request after the page was paused"
		}
		return ""
	})
}

// checkFilter filters the ports by state with scripts disabled.
func (b *browser) checkFilter() {
	shown := func() (n int) {
		b.eval(&n, `[...document.querySelectorAll(".cells > *")].filter(e => e.checkVisibility()).length`)
		return n
	}
	for value, want := range map[string]int{"down": 1, "up": pagePorts, "off": 0} {
		b.eval(nil, fmt.Sprintf(`document.querySelector("[name=show][value=%s]").click()`, value))
		if n := shown(); n != want {
			b.t.Errorf("%d ports show as %s, want %d", n, value, want)
		}
	}
	b.eval(nil, `document.querySelector("[name=show][value=all]").click()`)
	if n := shown(); n != pagePorts+1 {
		b.t.Errorf("%d ports show, want all", n)
	}
}

// checkKeyboard moves through the page by the Tab key.
func (b *browser) checkKeyboard() {
	var skip bool
	if b.eval(&skip, `document.querySelector("a, button, input, summary").className === "skip"`); !skip {
		b.t.Error("the skip link is not the first tab stop")
	}
	b.eval(nil, `document.querySelector(".skip").focus()`)
	var stops []string
	for range 3 {
		b.press("Tab", 9)
		var stop string
		b.eval(&stop, `(e => (e.id || e.value || e.nodeName) + (e.matches(":focus-visible") ? "" : " unseen"))(document.activeElement)`)
		stops = append(stops, stop)
	}
	if got := strings.Join(stops, ", "); got != "pause, all, A" {
		b.t.Errorf("the tab stops are %s; want the button, the filter and a port, all visible", got)
	}
}

// looksScript finds elements wider than the page or than their box, and text with less contrast than WCAG 2.2
// requires (1.4.3: 4.5 to 1, by the formula of relative luminance).
const looksScript = `(() => {
	const found = [];
	const wide = [...document.querySelectorAll(".cells, .cells a, .summary p, .events, .counts dd, .tiles dd")].filter(e => e.scrollWidth > e.clientWidth + 1);
	if (wide.length) found.push(wide.length + " elements overflow, such as " + wide[0].className + " " + wide[0].textContent.slice(0, 40));
	if (document.documentElement.scrollWidth > innerWidth) found.push("the page is " + document.documentElement.scrollWidth + " wide");
	const light = c => c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const parse = s => { const c = s.match(/[\d.]+/g).map(Number); return c.length === 3 ? [...c, 1] : c; };
	const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255, 1]; };
	const seen = new Set();
	for (const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walk.nextNode();) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || e.matches("script, style, noscript") || !e.checkVisibility()) continue;
		const style = getComputedStyle(e), svg = e.closest("svg");
		if (svg && e.nodeName !== "text") continue;
		const a = light(parse(svg ? style.fill : style.color)), b = light(behind(e));
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		const what = e.nodeName + "." + (e.getAttribute("class") || "") + " in " + (e.parentElement.getAttribute("class") || e.parentElement.nodeName);
		if (ratio < 4.5 && !seen.has(what)) { seen.add(what); found.push(what + " has contrast " + ratio.toFixed(2)); }
	}
	return found;
})()`

// checkLooks checks the page in all widths and color schemes. If PORTSYNCD_SCREENSHOTS names a
// directory, it writes pictures there.
func (b *browser) checkLooks(name string) {
	for _, width := range []int{400, 1280, 1920} {
		light := make(map[string]int)
		for _, scheme := range []string{"light", "dark"} {
			b.show(width, 1200, scheme)
			b.eval(nil, `document.activeElement.blur(); scrollTo(0, 0)`)
			var found []string
			if b.eval(&found, looksScript); len(found) > 0 {
				b.t.Errorf("%d pixels, %s: %q", width, scheme, found)
			}
			shot := b.picture()
			if dir := os.Getenv("PORTSYNCD_SCREENSHOTS"); dir != "" {
				file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
				if err := os.WriteFile(file, shot, 0o644); err != nil {
					b.t.Error(err)
				}
			}
			picture, err := png.Decode(bytes.NewReader(shot))
			if err != nil {
				b.t.Fatal(err)
			}
			if got := picture.Bounds().Dx(); got != width {
				b.t.Errorf("the picture is %d wide, want %d", got, width)
			}
			light[scheme] = brightness(picture)
		}
		if light["light"] < 180 || light["dark"] > 80 {
			b.t.Errorf("%d pixels: mean brightness %v, want light and dark", width, light)
		}
	}
}

// checkReport checks the page of the report on the daemon's files.
func (b *browser) checkReport(sw *switchtest.Switch) {
	file := filepath.Join(sw.Dir, "report.html")
	if out, err := exec.Command(sw.Binary, "report", "--html", file).CombinedOutput(); err != nil {
		b.t.Fatalf("report --html: %v\n%s", err, out)
	}
	b.visit("file://" + file)
	lines, requests := b.console.Len(), b.requests.Len()
	b.until("a plot", `document.querySelectorAll("svg.plot .dot").length === 1`)
	b.checkLooks("report")
	if more, _ := b.console.From(lines); len(more) > 0 {
		b.t.Errorf("browser console: %q", more)
	}
	if more, _ := b.requests.From(requests); len(more) > 0 {
		b.t.Errorf("requests of the report: %q", more)
	}
}

// brightness returns the mean of green, which dominates luminance, from 0 to 255.
func brightness(p image.Image) int {
	sum, n := 0, 0
	for y := p.Bounds().Min.Y; y < p.Bounds().Max.Y; y += 4 {
		for x := p.Bounds().Min.X; x < p.Bounds().Max.X; x += 4 {
			_, g, _, _ := p.At(x, y).RGBA()
			sum += int(g >> 8)
			n++
		}
	}
	return sum / n
}
