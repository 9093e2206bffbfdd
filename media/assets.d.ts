/** What the bundler gives for a style sheet import: its text. */
declare module "*.css" {
  const text: string;
  export default text;
}
