package sonicdb

import "testing"

// TestTable checks Key, Pattern and KeyOf.
func TestTable(t *testing.T) {
	config := NewTable(Database{ID: 4, Separator: "|"}, "PORT")
	appl := NewTable(Database{ID: 0, Separator: ":"}, "PORT_TABLE")
	if got := config.Key("Ethernet0"); got != "PORT|Ethernet0" {
		t.Errorf("key: got %q", got)
	}
	if got := appl.Key("PortInitDone"); got != "PORT_TABLE:PortInitDone" {
		t.Errorf("key: got %q", got)
	}
	if got := config.Pattern(); got != "PORT|*" {
		t.Errorf("pattern: got %q", got)
	}
	for in, want := range map[string]string{
		"PORT|Ethernet0":   "Ethernet0",
		"PORT|Ethernet4|x": "Ethernet4|x",
		"PORT|":            "",
		"PORT|a:b":         "a:b",
	} {
		if got, ok := config.KeyOf(in); !ok || got != want {
			t.Errorf("key of %q: got %q, %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"PORT", "PORTX|Ethernet0", "PORT:Ethernet0", "port|Ethernet0", ""} {
		if got, ok := config.KeyOf(in); ok {
			t.Errorf("key of %q: got %q, want none", in, got)
		}
	}
}

// TestTrimListMark checks names with and without a mark.
func TestTrimListMark(t *testing.T) {
	for in, want := range map[string]string{
		"lanes@": "lanes", "mtu": "mtu", "a@b@c": "a", "@": "", "": "",
	} {
		if got := TrimListMark(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestLookup checks that the first field with a name is returned.
func TestLookup(t *testing.T) {
	fvs := []FieldValue{{"mtu", "9100"}, {"alias", ""}, {"mtu", "1500"}}
	for field, want := range map[string]string{"mtu": "9100", "alias": ""} {
		if got, ok := Lookup(fvs, field); !ok || got != want {
			t.Errorf("%s: got %q, %v, want %q", field, got, ok, want)
		}
	}
	if got, ok := Lookup(fvs, "speed"); ok {
		t.Errorf("speed: got %q, want none", got)
	}
}
