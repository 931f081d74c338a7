package statusview

import (
	"fmt"
	"strings"
	"testing"

	"portsyncd/portsync"
)

// describedSwitch returns the status of a switch whose ports have fields of CONFIG_DB, some of them
// hostile.
func describedSwitch() *Status {
	s := switchOf(20)
	for i := range s.Ports {
		s.Ports[i].PortInfo = portsync.PortInfo{Alias: fmt.Sprintf("etp%d", i+1), Speed: "100000", Lanes: fmt.Sprint(4*i, ",", 4*i+1),
			PanelIndex: fmt.Sprint(i + 1), Description: fmt.Sprintf("to spine%d Eth1/1", i+1)}
	}
	s.Ports[3].Description = strings.Repeat("long ", 51)
	s.Ports[4].Description = "<script>\x1b[2J\n\"'&\u202e\xff"
	s.Ports[5].Speed = strings.Repeat("\xff", 255)
	s.Ports[4].Speed, s.Ports[4].Alias, s.Ports[4].Lanes = "fast\x1b[31m", "</th>", "\xff\xfe"
	return s
}

// TestPortInfoText compares the text of a switch with port descriptions with golden files, and checks
// that hostile values are escaped and that lines fit.
func TestPortInfoText(t *testing.T) {
	for _, width := range []int{80, 120, 200} {
		term := Terminal{Width: width}
		text := describedSwitch().AppendText(nil, term)
		golden(t, fmt.Sprintf("status-described-%d.txt", width), text)
		if wrong := checkText(text, term); wrong != "" {
			t.Errorf("width %d: %s", width, wrong)
		}
	}
}

// TestPortInfoPage checks that the page has the fields of CONFIG_DB in the table and in tooltips, and
// that hostile values do not add elements.
func TestPortInfoPage(t *testing.T) {
	d := readPage(t, describedSwitch())
	for _, want := range []string{"Alias", "Speed", "Description", "etp1", "100G", "to spine1 Eth1/1", `<script>\x1b[2J\x0a"'&\u202e\xff`, `fast\x1b[31m`} {
		if !strings.Contains(d.text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if n := len(d.raw["script"]); n != 1 {
		t.Errorf("%d scripts, want 1", n)
	}
	page := string(describedSwitch().AppendPage(nil))
	for _, want := range []string{`title="Ethernet0, etp1, to spine1 Eth1/1, 100G"`,
		`title="Ethernet16, &lt;/th&gt;, &lt;script&gt;\x1b[2J\x0a&#34;&#39;&amp;\u202e\xff, fast\x1b[31m"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %s", want)
		}
	}
	if page := string(switchOf(20).AppendPage(nil)); strings.Contains(page, ">Alias<") || strings.Contains(page, "title=") {
		t.Error("a page without fields of CONFIG_DB has the column Alias or a tooltip")
	}
}

// TestSpeed checks the unit of speeds and that other text is not changed.
func TestSpeed(t *testing.T) {
	for s, want := range map[string]string{"100000": "100G", "400000": "400G", "1000": "1G", "2500": "2500", "100": "100", "": "", "000": "000", "0000": "0000", "auto": "auto", "x000": "x000"} {
		if got := speed(s); got != want {
			t.Errorf("speed(%q) = %q, want %q", s, got, want)
		}
	}
}
