export { DatafeedError, type ConnectionOptions } from "./connection";
export { Datafeed, type DatafeedOptions } from "./datafeed";
export type * from "./library";
