package switchtest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// SelfReport holds all documents that a daemon serves over HTTP, read within a few milliseconds.
type SelfReport struct {
	Health  healthFacts
	Metrics Exposition         // /metrics
	json    map[string]float64 // /metrics.json, by series as in the text
	ports   []ReportedPort     // /ports
	Status  statusFacts        // /status
	page    string             // /
}

// ReportedPort is a port in /ports and in /status.
type ReportedPort struct {
	Name        string
	State       string
	Present     bool
	Written     bool
	Configured  bool
	InitPending bool  `json:"init_pending"`
	Index       int32 `json:"ifindex"`
	Admin, Oper string
	MTU         uint32
	CarrierUp   uint32    `json:"carrier_up"`
	CarrierDown uint32    `json:"carrier_down"`
	LastChange  time.Time `json:"last_change"`
	// Speed and Lanes are from CONFIG_DB.
	Speed, Lanes string
}

// UnmarshalJSON decodes a port. It reads the name from name_hex if present, because a JSON string
// cannot contain invalid UTF-8.
func (p *ReportedPort) UnmarshalJSON(text []byte) error {
	type plain ReportedPort // without this method
	document := struct {
		*plain
		NameHex string `json:"name_hex"`
	}{plain: (*plain)(p)}
	if err := json.Unmarshal(text, &document); err != nil || document.NameHex == "" {
		return err
	}
	name, err := hex.DecodeString(document.NameHex)
	p.Name = string(name)
	return err
}

// LabelValue returns a port's name in the form in which it appears as a label value. It escapes
// only the unprintable bytes that occur in the names used by tests.
func LabelValue(name string) string {
	return strings.NewReplacer("\xff", `\xff`, "\xfe", `\xfe`, "\x01", `\x01`).Replace(name)
}

// portLabel returns the label set of a port's series.
func portLabel(name string) string {
	return labelText(map[string]string{"port": LabelValue(name)})
}

// healthFacts is /healthz as JSON.
type healthFacts struct {
	OK      bool
	Status  string
	Score   int
	Reasons []struct{ Code, Text string }
}

// codes returns the sorted codes of the reasons.
func (h *healthFacts) codes() []string {
	var all []string
	for _, r := range h.Reasons {
		all = append(all, r.Code)
	}
	slices.Sort(all)
	return all
}

// statusFacts holds the members of /status that tests check.
type statusFacts struct {
	Health healthFacts
	Start  struct {
		Kind       string
		SyncNanos  int64      `json:"sync_ns"`
		LastResync *time.Time `json:"last_resync"`
		LastAudit  *time.Time `json:"last_audit"`
		Ready      bool
		ConfigDone bool `json:"port_config_done"`
		InitDone   bool `json:"port_init_done"`
	}
	Ports   []ReportedPort
	Pending []struct {
		What, Why string
		From      time.Time
	}
	Databases []struct {
		Name, Error string
		Up          bool
	}
	Backlog struct {
		Ports, Events int
		WaitSeconds   float64 `json:"wait_seconds"`
	}
	Counts map[string]any
	Hour   []struct {
		Events, Writes float64
		P50            int64 `json:"p50_ns"`
		P99            int64 `json:"p99_ns"`
		Max            int64 `json:"max_ns"`
	}
}

// SelfReport requests all documents of the daemon.
func (client *Client) SelfReport() (r SelfReport, err error) {
	read := func(path string, v any, headers ...string) {
		var a Response
		if err == nil {
			a, err = client.TryRequest(http.MethodGet, path, headers...)
		}
		switch {
		case err != nil:
		case a.Code != http.StatusOK && path != "/healthz":
			err = fmt.Errorf("GET %s: status %d: %s", path, a.Code, a.Body)
		case v == nil && path == "/":
			r.page = a.Body
		case v == nil:
			r.Metrics, err = ParseExposition(a.Body)
		default:
			if err = json.Unmarshal([]byte(a.Body), v); err != nil {
				err = fmt.Errorf("GET %s: %w: %s", path, err, a.Body)
			}
		}
	}
	var ports struct{ Ports []ReportedPort }
	var families jsonFamilies
	read("/healthz", &r.Health, "Accept: application/json")
	read("/metrics", nil, "Accept: text/plain")
	read("/metrics.json", &families)
	read("/ports", &ports)
	read("/status", &r.Status)
	read("/", nil)
	r.ports, r.json = ports.Ports, families.series()
	return r, err
}

// jsonFamilies is /metrics.json.
type jsonFamilies struct {
	Families []struct {
		Name    string
		Samples []struct {
			Labels            map[string]string
			Value, Count, Sum any
		}
	}
}

// series returns the samples by their names in the text format. For a histogram or a summary it
// returns count and sum.
func (f *jsonFamilies) series() map[string]float64 {
	all := make(map[string]float64)
	for _, family := range f.Families {
		for _, sample := range family.Samples {
			for suffix, value := range map[string]any{"": sample.Value, "_count": sample.Count, "_sum": sample.Sum} {
				if n, ok := value.(float64); ok {
					all[family.Name+suffix+labelText(sample.Labels)] = n
				}
			}
		}
	}
	return all
}

// labelText returns labels in the Prometheus text format, sorted by name except that "path"
// precedes "code".
func labelText(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(labels))
	if len(names) == 2 && names[0] == "code" && names[1] == "path" {
		slices.Reverse(names)
	}
	var pairs []string
	for _, name := range names {
		value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(labels[name])
		pairs = append(pairs, name+`="`+value+`"`)
	}
	return "{" + strings.Join(pairs, ",") + "}"
}
