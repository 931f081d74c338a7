package main

// dashboard is what we say of one; model.go makes Grafana's JSON of it.
type dashboard struct {
	uid         string // stable: links and bookmarks rest on it
	title       string
	description string
	variables   []variable
	rows        []row
}

// row is a line of panels under a heading.
type row struct {
	title  string
	height int // of each panel, in Grafana's units of 30 pixels
	panels []panel
}

// panel shows queries. Widths of a row's panels add up to gridWidth.
type panel struct {
	title       string
	description string // what it shows, and what is good
	kind        string // stat, timeseries, table, state-timeline, heatmap, bargauge
	unit        string // Grafana's name of it; "short" for plain numbers
	width       int
	queries     []query
	flag        bool              // values are 1 for yes and 0 for no
	badIsYes    bool              // with flag: yes is what is wrong
	zeroIsGood  bool              // anything above 0 is shown in red
	stack       bool              // series are piled up
	columns     map[string]string // of a table: units of columns that have their own
	linkTo      string            // uid of the dashboard that a value leads to
}

// query is PromQL and the legend of its series. The queries of a table are
// its columns, joined by instance.
type query struct{ expr, legend string }

// variable is a choice at the top of a dashboard.
type variable struct{ name, label, query string }

const gridWidth = 24

// The choices. Each is made among what the ones before it leave.
var (
	chooseJob      = variable{"job", "Job", `label_values(portsyncd_build_info, job)`}
	chooseInstance = variable{"instance", "Switch", `label_values(portsyncd_build_info{job="$job"}, instance)`}
	choosePort     = variable{"port", "Port", `label_values(portsyncd_port_oper_up{job="$job", instance="$instance"}, port)`}
)

func stat(title, unit, expr, description string) panel {
	return panel{kind: "stat", title: title, unit: unit, width: 4, description: description, queries: []query{{expr, title}}}
}

func lines(title, unit, description string, queries ...query) panel {
	return panel{kind: "timeseries", title: title, unit: unit, width: 12, description: description, queries: queries}
}

// states is a panel of flags over time.
func states(title, description string, queries ...query) panel {
	return panel{kind: "state-timeline", title: title, unit: "short", width: 24, description: description, queries: queries, flag: true}
}
