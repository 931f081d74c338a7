package http

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// browserTimeout is how long one browser action may take on a busy machine.
const browserTimeout = 60 * time.Second

// browser is a headless Chromium with one tab, controlled by the Chrome DevTools Protocol over two
// pipes: messages are JSON, each followed by a NUL byte
// (content/browser/devtools/devtools_pipe_handler.cc).
type browser struct {
	t       *testing.T
	to      *os.File
	session string // of the tab
	last    atomic.Int64

	mu      sync.Mutex
	answers map[int64]chan browserMessage
	gone    bool

	console  switchtest.Record[string] // messages in the developer console
	requests switchtest.Record[string] // URLs
}

// browserMessage is a response or an event.
type browserMessage struct {
	ID     int64
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// needBrowser skips the test if Chromium is not installed.
func needBrowser(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		lab.Unavailable(t, "this test needs chromium")
	}
}

// startBrowser starts Chromium with its files in dir. It is ended with the test.
func startBrowser(t *testing.T, dir string) *browser {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("chromium: %v", err)
		}
	}
	theirIn, to, err := os.Pipe()
	must(err)
	from, theirOut, err := os.Pipe()
	must(err)
	cmd := exec.Command("chromium", "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--user-data-dir="+dir,
		"--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run", "--disable-extensions",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	cmd.Env = append(os.Environ(), "HOME="+dir)
	said := new(switchtest.Output)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(cmd.Start())
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, to: to, answers: make(map[int64]chan browserMessage)}
	go b.read(from)
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		to.Close()
		if t.Failed() {
			t.Logf("console: %q, chromium printed: %s", b.consoleLines(), said)
		}
	})
	b.openTab()
	return b
}

// openTab opens a tab and subscribes to its events.
func (b *browser) openTab() {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	// As if the tab had the focus, so that it receives the keys.
	b.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil)
}

// read processes the browser's messages until the browser ends.
func (b *browser) read(from *os.File) {
	defer from.Close()
	messages := bufio.NewReader(from)
	for {
		text, err := messages.ReadBytes(0)
		if err != nil {
			break
		}
		var m browserMessage
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		if m.ID == 0 {
			b.note(m)
			continue
		}
		b.mu.Lock()
		answer := b.answers[m.ID]
		delete(b.answers, m.ID)
		b.mu.Unlock()
		if answer != nil {
			answer <- m
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = true
	for _, answer := range b.answers {
		close(answer)
	}
}

// note records an event that tests check.
func (b *browser) note(m browserMessage) {
	switch m.Method {
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
		b.console.Add(string(m.Params))
	case "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		json.Unmarshal(m.Params, &p)
		b.requests.Add(p.Request.URL)
	}
}

// call sends a command to the browser and decodes its response into result. If the browser replies
// with an error, the test fails.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	if err := b.try(method, params, result); err != nil {
		b.t.Fatal(err)
	}
}

// try is like call, but returns the error with which the browser replies.
func (b *browser) try(method string, params map[string]any, result any) error {
	b.t.Helper()
	id := b.last.Add(1)
	text, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params, "sessionId": b.session})
	if err != nil {
		b.t.Fatal(err)
	}
	if b.session == "" {
		text = []byte(strings.Replace(string(text), `,"sessionId":""`, "", 1))
	}
	answer := make(chan browserMessage, 1)
	b.mu.Lock()
	gone := b.gone
	b.answers[id] = answer
	b.mu.Unlock()
	if gone {
		b.t.Fatalf("%s: chromium has ended", method)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			b.t.Fatalf("%s: chromium has ended", method)
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case result != nil:
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v in %s", method, err, m.Result)
			}
		}
	case <-time.After(browserTimeout):
		b.t.Fatalf("%s: no answer within %v", method, browserTimeout)
	}
	return nil
}

// visit opens a page and waits until it is loaded.
func (b *browser) visit(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.until("the page is there", `document.readyState === "complete" && location.href !== "about:blank"`)
}

// eval runs JavaScript in the page and decodes its value into result.
func (b *browser) eval(result any, script string) {
	b.t.Helper()
	if err := b.tryEval(result, script); err != nil {
		b.t.Fatal(err)
	}
}

// tryEval is like eval, but returns the error with which the browser replies, for example because
// another page is being loaded. An exception in the script fails the test.
func (b *browser) tryEval(result any, script string) error {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := b.try("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true}, &answer); err != nil {
		return err
	}
	if e := answer.ExceptionDetails; e != nil {
		b.t.Fatalf("%s: %s %s", script, e.Text, e.Exception.Description)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result.Value, result); err != nil {
		b.t.Fatalf("%s: %v in %s", script, err, answer.Result.Value)
	}
	return nil
}

// until waits until a JavaScript condition is true. It is false while another page is being loaded.
func (b *browser) until(what, condition string) time.Duration {
	b.t.Helper()
	return switchtest.Eventually(b.t, browserTimeout, func() string {
		var holds bool
		if err := b.tryEval(&holds, "!!("+condition+")"); err != nil || !holds {
			return fmt.Sprintf("%s: %s: %v, %v", what, condition, holds, err)
		}
		return ""
	})
}

// show sets the width and the color scheme of the tab.
func (b *browser) show(width, height int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.until("the width", fmt.Sprintf("innerWidth === %d && matchMedia('(prefers-color-scheme: %s)').matches", width, scheme))
}

// press presses a key.
func (b *browser) press(key string, code int) {
	b.t.Helper()
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		b.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code}, nil)
	}
}

// picture returns a PNG of the tab.
func (b *browser) picture() []byte {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}

func (b *browser) consoleLines() []string {
	lines, _ := b.console.From(0)
	return lines
}
