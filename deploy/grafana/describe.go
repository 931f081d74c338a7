package main

// dashboard describes a Grafana dashboard. Its method model converts it to Grafana's JSON model.
type dashboard struct {
	uid         string // must not change, because links and bookmarks contain it
	title       string
	description string
	variables   []variable
	rows        []row
}

// row is a row of panels under a heading.
type row struct {
	title  string
	height int // of each panel, in units of 30 pixels
	panels []panel
}

// panel shows the results of queries. The widths of all panels in a row add up to gridWidth.
type panel struct {
	title       string
	description string // what it shows, and the normal value
	kind        string // stat, timeseries, table, state-timeline, heatmap, bargauge
	unit        string // a Grafana unit; "short" for plain numbers
	width       int
	queries     []query
	flag        bool              // values are 1 for yes and 0 for no
	badIsYes    bool              // with flag: 1 is shown in red
	zeroIsGood  bool              // values above 0 are shown in red
	stack       bool              // stack the series
	columns     map[string]string // units of the columns of a table, if different from unit
	labels      []labelColumn     // first columns of a table; their labels are those of the first query
	flagColumns []string          // columns of a table whose values are 1 for up and 0 for down
	linkTo      string            // uid of the dashboard to link to
}

// query is a PromQL query with the legend of its series. Each query of a table is a column. The
// columns are joined by instance.
type query struct{ expr, legend string }

// labelColumn is a column of a table that shows a label.
type labelColumn struct{ label, title string }

// variable is a dashboard variable, which is shown as a drop-down list at the top.
type variable struct{ name, label, query string }

const gridWidth = 24

// Dashboard variables. The query of each one uses the variables before it.
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

// states returns a state timeline of 0 and 1 values.
func states(title, description string, queries ...query) panel {
	return panel{kind: "state-timeline", title: title, unit: "short", width: 24, description: description, queries: queries, flag: true}
}
