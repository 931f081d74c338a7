// Package victoria tests portsyncd's package push with a real VictoriaMetrics, which is built from
// its Go module. The package is a module of its own so that the dependencies of VictoriaMetrics do
// not affect other modules.
package victoria

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/push"
	"portsyncd/metrics"
)

// timeout is long enough for a busy machine.
const timeout = time.Minute

// start builds and starts a server and returns its address.
func start(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "victoria-metrics")
	build := exec.Command("go", "build", "-o", binary, "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	// VictoriaMetrics accepts a port number, not an open socket. Another process may take the port in the
	// meantime, so that VictoriaMetrics ends.
	const tries = 5
	for try := 1; ; try++ {
		address, ended := startAt(t, binary, fmt.Sprintf("%s/data%d", dir, try))
		served := false
		await(t, func() error {
			select {
			case <-ended:
				return nil
			default:
			}
			_, err := get("http://" + address + "/health")
			served = err == nil
			return err
		})
		if served {
			return address
		}
		if try == tries {
			t.Fatalf("VictoriaMetrics ended %d times", tries)
		}
	}
}

// startAt starts VictoriaMetrics at a port that was free a moment before. It returns the address and a
// channel that is closed when the process ends. The process is killed at the end of the test.
func startAt(t *testing.T, binary, data string) (address string, ended chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	server := exec.Command(binary, "-httpListenAddr="+address, "-storageDataPath="+data,
		"-memory.allowedBytes=64MB", "-search.latencyOffset=0", "-loggerLevel=WARN")
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said := new(strings.Builder)
	server.Stdout, server.Stderr = said, said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan struct{})
	go func() {
		server.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		server.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("VictoriaMetrics said: %s", said)
		}
	})
	return address, ended
}

func await(t *testing.T, try func() error) {
	t.Helper()
	for end := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func get(url string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// portNames are plain names, names that the kernel allows and line protocol must escape, and names
// that the kernel does not allow.
var portNames = map[string]string{ // to what a query shows
	"Ethernet0": "Ethernet0", `Ethernet"\90`: `Ethernet"\90`, "Ethernet\xff\xfe": `Ethernet\xff\xfe`,
	"Ethernet\x019": `Ethernet\x019`, "Ethernetßλ": "Ethernetßλ", "Ethernet1,mtu=1": "Ethernet1,mtu=1",
	`Ethernet1\`: `Ethernet1\x5c`, `Ethernet1\,a`: `Ethernet1\x5c,a`, "Ethernet 1": "Ethernet 1", "Ether\nnet": `Ether\x0anet`,
	`"Ethernet"`: `"Ethernet"`, "#": "#",
}

// TestNames checks that each sample of a set is stored under the name that it has in the text for
// Prometheus, with its labels, its value and the label instance.
func TestNames(t *testing.T) {
	address := start(t)
	for _, gzip := range []bool{true, false} {
		t.Run(fmt.Sprintf("gzip_%v", gzip), func(t *testing.T) {
			t.Parallel()
			checkNames(t, address, gzip)
		})
	}
}

func checkNames(t *testing.T, address string, gzip bool) {
	set := metrics.NewSet()
	set.AddBuildInfo("1.0", "abc")
	set.AddGo()
	set.NewHistogram("portsyncd_latency_seconds", "Latency.", []float64{0.001, 1}).Observe(0.5)
	set.NewGauge("portsyncd_nothing", "A NaN, which is not sent.").Set(math.NaN())
	ports := set.NewGroup("port")
	up := ports.NewIntGauge("portsyncd_port_up", "Up.")
	for name := range portNames {
		up.In(ports.Add(name)).Set(42)
	}
	instance := fmt.Sprintf("leaf 1, gzip=%v", gzip)
	pusher, err := push.New(push.Config{
		URL: "http://" + address + "/write", Interval: time.Second, Instance: func() string { return instance }, QueueBatches: 10, Gzip: gzip,
	}, set, push.NewFamilies(set), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { pusher.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })

	await(t, func() error {
		got, err := series(address, instance)
		if err != nil {
			return err
		}
		for s := range set.Samples() {
			labels := map[string]string{"__name__": s.Name, "instance": instance}
			for _, l := range s.Labels {
				labels[l.Name] = l.Value
			}
			if port, ok := labels["port"]; ok {
				labels["port"] = shown(port)
			}
			value, ok := got[fmt.Sprint(labels)]
			switch {
			case math.IsNaN(s.Value):
				if ok {
					return fmt.Errorf("%v was sent", labels)
				}
			case !ok:
				return fmt.Errorf("no %v among %d series", labels, len(got))
			case s.Name == "portsyncd_port_up" && value != "42":
				return fmt.Errorf("%v is %s", labels, value)
			}
		}
		return nil
	})
}

// shown returns a port's label as a query shows it.
func shown(label string) string {
	for name, shown := range portNames {
		if name == label || shown == label {
			return shown
		}
	}
	return label
}

// series returns the newest value of each series of an instance by its labels.
func series(address, instance string) (map[string]string, error) {
	query := fmt.Sprintf("last_over_time({instance=%q}[1m])", instance)
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/api/v1/query", nil)
	if err != nil {
		return nil, err
	}
	values := request.URL.Query()
	values.Set("query", query)
	values.Set("nocache", "1")
	request.URL.RawQuery = values.Encode()
	text, err := get(request.URL.String())
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, err
	}
	all := make(map[string]string)
	for _, r := range answer.Data.Result {
		all[fmt.Sprint(r.Metric)] = fmt.Sprint(r.Value[1])
	}
	return all, nil
}
