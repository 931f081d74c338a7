package warmrestart

import (
	"strings"
	"testing"
)

// TestCheck: what is no state of ours is refused, with a word on what is wrong.
func TestCheck(t *testing.T) {
	const histogram = `"sync_duration_seconds":{"bounds":[1],"counts":[0,1],"sum":2}`
	many := `{"ports":[` + strings.Repeat(`{"name":"x"},`, mostPorts) + `{"name":"x"}]}`
	for _, c := range []struct {
		name  string
		check func(int, []byte) error
		body  string
		want  string // in the error; "": there is none
	}{
		{"ports", checkPorts, `{"ports":[{"name":"Ethernet0","mtu":9100}]}`, ""},
		{"no ports", checkPorts, `{"ports":[]}`, ""},
		{"an unknown field", checkPorts, `{"ports":[{"name":"Ethernet0","colour":"red"}]}`, ""},
		{"no object", checkPorts, `[]`, "cannot unmarshal"},
		{"a negative MTU", checkPorts, `{"ports":[{"name":"Ethernet0","mtu":-1}]}`, "mtu"},
		{"no name", checkPorts, `{"ports":[{"mtu":1}]}`, `port name "", expected 1 to 15 bytes`},
		{"a long name", checkPorts, `{"ports":[{"name":"Ethernet12345678"}]}`, `"Ethernet12345678", expected 1 to 15 bytes`},
		{"names of any bytes", checkPorts, `{"ports":[{"name":"a\ufffd","name_hex":"61ff"},{"name":"a\ufffd","name_hex":"61fe"}]}`, ""},
		{"a long name of any bytes", checkPorts, `{"ports":[{"name":"` + strings.Repeat(`\ufffd`, 15) + `","name_hex":"` + strings.Repeat("ff", 15) + `"}]}`, ""},
		{"bytes of another name", checkPorts, `{"ports":[{"name":"a","name_hex":"62"}]}`, `name "a" has the bytes "62"`},
		{"a name twice", checkPorts, `{"ports":[{"name":"a"},{"name":"a"}]}`, `"a" is there twice`},
		{"too many", checkPorts, many, "65537 elements, expected at most 65536"},

		{"metrics", checkMetrics, `{` + histogram + `}`, ""},
		{"a record", checkMetrics, `{` + histogram + `,"restarts":[{"kind":"warm"}]}`, ""},
		{"no histogram", checkMetrics, `{}`, "0 buckets for 0 bounds"},
		{"a bucket missing", checkMetrics, `{"sync_duration_seconds":{"bounds":[1],"counts":[0]}}`, "1 buckets for 1 bounds"},
		{"bounds in disorder", checkMetrics, `{"sync_duration_seconds":{"bounds":[2,1],"counts":[0,0,0]}}`, "bound 2 before 1"},
		{"a negative sum", checkMetrics, `{"sync_duration_seconds":{"counts":[0],"sum":-1}}`, "sum -1"},
		{"a negative count", checkMetrics, `{"sync_duration_seconds":{"counts":[-1]}}`, "cannot unmarshal"},
		{"a strange kind", checkMetrics, `{` + histogram + `,"restarts":[{"kind":"warm"},{"kind":"hot"}]}`, `restart 1 is of kind "hot"`},
		{"a negative duration", checkMetrics, `{` + histogram + `,"restarts":[{"kind":"cold","duration_ns":-1}]}`, "restart 0 took -1ns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.check(1, []byte(c.body))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.80s: %v, want %q", c.body, err, c.want)
			}
		})
	}
}
