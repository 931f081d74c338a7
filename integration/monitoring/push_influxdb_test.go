package monitoring

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"portsyncd/internal/switchtest"
)

// influxDB is an InfluxDB server for one test, with a user and a database.
type influxDB struct {
	c    *switchtest.Switch
	file string // its configuration
	cmd  *exec.Cmd
	said switchtest.Output
}

const (
	influxAddress = "127.0.0.1:8086"
	influxUser    = "noc"
	influxSecret  = "correct horse" // must not appear anywhere
)

// newInfluxDB starts a server that requires the user's password.
func newInfluxDB(sw *switchtest.Switch) *influxDB {
	sw.T.Helper()
	dir := sw.T.TempDir()
	i := &influxDB{c: sw, file: dir + "/influxdb.conf"}
	switchtest.WriteFile(sw.T, i.file, fmt.Sprintf(`
reporting-disabled = true
bind-address = "127.0.0.1:8088"
[meta]
dir = %q
[data]
dir = %q
wal-dir = %q
[monitor]
store-enabled = false
[http]
bind-address = %q
auth-enabled = true
`, dir+"/meta", dir+"/data", dir+"/wal", influxAddress))
	i.Start()
	sw.T.Cleanup(func() {
		i.kill()
		if sw.T.Failed() {
			sw.T.Logf("influxd printed: %s", &i.said)
		}
	})
	i.query("CREATE USER " + influxUser + " WITH PASSWORD '" + influxSecret + "' WITH ALL PRIVILEGES")
	i.query("CREATE DATABASE fabric")
	return i
}

func (i *influxDB) Start() {
	i.c.T.Helper()
	i.cmd = exec.Command("influxd", "run", "-config", i.file)
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	i.cmd.Stdout, i.cmd.Stderr = &i.said, &i.said
	i.c.NoError("start influxd", i.cmd.Start())
	switchtest.Eventually(i.c.T, 3*switchtest.Timeout, func() string {
		response, err := http.Get("http://" + influxAddress + "/ping")
		if err != nil {
			return err.Error()
		}
		response.Body.Close()
		return ""
	})
}

func (i *influxDB) kill() {
	i.cmd.Process.Kill()
	i.cmd.Wait()
}

// influxSeries is a series of a result: a measurement, its tags, and rows.
type influxSeries struct {
	Name    string
	Tags    map[string]string
	Columns []string
	Values  [][]*json.Number
}

func (i *influxDB) query(q string) []influxSeries {
	i.c.T.Helper()
	form := url.Values{"q": {q}, "db": {"fabric"}, "epoch": {"ms"}}
	request, err := http.NewRequest(http.MethodPost, "http://"+influxAddress+"/query", strings.NewReader(form.Encode()))
	i.c.NoError("make a query", err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(influxUser, influxSecret)
	client := http.Client{Timeout: switchtest.Timeout}
	response, err := client.Do(request)
	i.c.NoError("query", err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	i.c.NoError("query", err)
	var answer struct {
		Error   string
		Results []struct {
			Error  string
			Series []influxSeries
		}
	}
	i.c.NoError("query", json.Unmarshal(body, &answer))
	if answer.Error != "" || len(answer.Results) != 1 || answer.Results[0].Error != "" {
		i.c.T.Fatalf("%s: %s", q, body)
	}
	return answer.Results[0].Series
}

// newest returns the newest value of each series under its name in /metrics, with tags as labels.
func (i *influxDB) newest() map[string]float64 {
	i.c.T.Helper()
	all := make(map[string]float64)
	for _, s := range i.query("SELECT * FROM portsyncd, process, go GROUP BY * ORDER BY time DESC LIMIT 1") {
		for n, column := range s.Columns {
			if v := s.Values[0][n]; v != nil && column != "time" {
				f, err := v.Float64()
				i.c.NoError("read a value", err)
				all[seriesKey(s.Name+"_"+column, s.Tags)] = f
			}
		}
	}
	return all
}

// seriesKey returns a series name without empty labels.
func seriesKey(name string, labels map[string]string) string {
	set := make(map[string]string)
	for k, v := range labels {
		if v != "" {
			set[k] = v
		}
	}
	return fmt.Sprintf("%s %q", name, set) // a map is printed in the order of its keys
}

var labelPair = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)

// labelsOf parses a series of an exposition.
func labelsOf(series string) (name string, labels map[string]string) {
	name, rest, _ := strings.Cut(series, "{")
	labels = make(map[string]string)
	for _, m := range labelPair.FindAllStringSubmatch(rest, -1) {
		labels[m[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(m[2])
	}
	return name, labels
}

// TestPushInfluxDB lets the daemon push to InfluxDB as a user whose password is in a file. All
// series of /metrics must arrive. While the server is down, no sample may be lost and the daemon
// must continue its work.
func TestPushInfluxDB(t *testing.T) {
	switchtest.RequireCommand(t, "influxd")
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	influx := newInfluxDB(sw)
	secret := sw.Dir + "/push.secret"
	header := "Basic " + base64.StdEncoding.EncodeToString([]byte(influxUser+":"+influxSecret))
	sw.NoError("write the secret", os.WriteFile(secret, []byte(header+"\n"), 0o600))
	sw.ConfigurePorts(2)
	conf := fmt.Sprintf("[push]\nurl = 'http://%s/write?db=fabric'\ninterval_secs = 1\ninstance = 'leaf 1'\nauthorization_file = %q\n",
		influxAddress, secret)
	d := sw.StartWith(conf)
	sw.AddInterfaces(2)
	for _, name := range escapedPorts {
		sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+name, "lanes", "0")
		sw.AddPort(name)
	}
	sw.AwaitInSync(switchtest.Timeout)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)

	switchtest.Eventually(t, 3*switchtest.Timeout, func() string { return influx.missing(client.Scrape()) })

	influx.kill()
	begin := client.Scrape()
	awaitAtLeast(client, `portsyncd_push_failures_total{reason="unreachable"}`, begin.Samples[`portsyncd_push_failures_total{reason="unreachable"}`]+2)
	sw.AwaitLog(0, switchtest.Timeout, "cannot push metrics", "unreachable")
	sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1400")
	sw.AwaitRecovery("closed receiver")
	awaitAtLeast(client, "portsyncd_push_queue_batches", 3)
	influx.Start()
	sw.AwaitLog(0, 6*switchtest.Timeout, "pushing metrics resumed")
	client.AwaitValue("portsyncd_push_queue_batches", 0)
	checkNothingLost(t, influx, client)

	if out, err := exec.Command(sw.Binary, "check-config", sw.Dir+"/portsyncd.conf").CombinedOutput(); err != nil || strings.Contains(string(out), header[6:]) {
		t.Errorf("check-config: %v: %s", err, out)
	}
	lines, _ := sw.Logs.From(0)
	for _, l := range lines {
		if l.Has(header[6:]) || l.Has(influxSecret) {
			t.Errorf("the log has the secret: %s", l)
		}
	}
	d.Signal(syscall.SIGTERM)
	d.Wait(switchtest.ExitTimeout)
}

// missing returns which series of an exposition have not arrived, or, if they no longer change,
// have another value.
func (i *influxDB) missing(e switchtest.Exposition) string {
	got := i.newest()
	for series, value := range e.Samples {
		name, labels := labelsOf(series)
		labels["instance"] = "leaf 1"
		arrived, ok := got[seriesKey(name, labels)]
		if !ok {
			return "no " + seriesKey(name, labels)
		}
		if strings.HasPrefix(name, "portsyncd_port_") && arrived != value {
			return fmt.Sprintf("%s is %v, /metrics shows %v", series, arrived, value)
		}
	}
	return ""
}

// checkNothingLost checks that there is a point for each delivered batch, and no longer time
// between two points than between two samples.
func checkNothingLost(t *testing.T, influx *influxDB, client *switchtest.Client) {
	t.Helper()
	delivered := func() int {
		e := client.Scrape()
		n := e.Samples["portsyncd_push_requests_total"]
		for series, v := range e.Samples {
			if strings.HasPrefix(series, "portsyncd_push_failures_total{") {
				n -= v
			}
			if strings.HasPrefix(series, "portsyncd_push_dropped_batches_total{") && v != 0 {
				t.Errorf("%s is %v", series, v)
			}
		}
		return int(n)
	}
	before := delivered()
	series := influx.query("SELECT ready FROM portsyncd")
	after := delivered()
	if len(series) != 1 {
		t.Fatalf("%d series of portsyncd_ready", len(series))
	}
	points := series[0].Values
	if len(points) < before || len(points) > after+1 { // one may be in progress
		t.Errorf("%d points, %d to %d batches were delivered", len(points), before, after)
	}
	t.Logf("%d points", len(points))
}

// awaitAtLeast waits until the value of a series is at least min.
func awaitAtLeast(client *switchtest.Client, series string, least float64) {
	client.T.Helper()
	switchtest.Eventually(client.T, 3*switchtest.Timeout, func() string {
		if got, ok := client.Scrape().Samples[series]; got < least || !ok {
			return fmt.Sprintf("%s is %v (exists: %v), want at least %v", series, got, ok, least)
		}
		return ""
	})
}
